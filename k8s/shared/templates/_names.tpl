{{/* How this release's objects are called, and the labels by which they are found. */}}

{{- define "fedmol.name" -}}
{{ .Values.fullnameOverride | default .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "fedmol.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fedmol.labels" -}}
{{ include "fedmol.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: fedmol
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Of the one pod that takes part in the run, which a pod of `helm test` does not. */}}
{{- define "fedmol.partySelector" -}}
{{ include "fedmol.selector" . }}
app.kubernetes.io/component: {{ include "fedmol.component" . }}
{{- end }}

{{- define "fedmol.image" -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "fedmol.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary (include "fedmol.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}
