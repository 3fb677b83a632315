{{/* Whom this party trusts, who it is, and the key that proves it: under /certs, or made in the state volume. */}}

{{- define "fedmol.certificateSecret" -}}
{{- if .Values.certificates.certManager.enabled }}{{ include "fedmol.name" . }}-certificate{{ else }}{{ .Values.certificates.secret }}{{ end }}
{{- end }}

{{/* The Secret's names for the three files, as JSON. */}}
{{- define "fedmol.certificateKeys" -}}
{{- if .Values.certificates.certManager.enabled }}
{{- dict "ca" "ca.crt" "certificate" "tls.crt" "key" "tls.key" | toJson }}
{{- else }}
{{- .Values.certificates.keys | toJson }}
{{- end }}
{{- end }}

{{- define "fedmol.wrongCertificates" -}}
{{- $certificates := .Values.certificates }}
{{- $ways := list }}
{{- if $certificates.secret }}{{ $ways = append $ways "certificates.secret" }}{{ end }}
{{- if $certificates.certManager.enabled }}{{ $ways = append $ways "certificates.certManager.enabled" }}{{ end }}
{{- if $certificates.request }}{{ $ways = append $ways "certificates.request" }}{{ end }}
{{- if not $ways }}
certificates.secret: is not set; name the Secret with {{ join ", " (values $certificates.keys | sortAlpha) }}, or set certificates.certManager.enabled
{{- else if gt (len $ways) 1 }}
{{ join " and " $ways }}: give one of them
{{- else if $certificates.secret }}
{{ include "fedmol.missing" (list . "certificates.secret" "Secret" $certificates.secret (values $certificates.keys | sortAlpha)) }}
{{- else if and $certificates.certManager.enabled (not $certificates.certManager.issuer.name) }}
certificates.certManager.issuer.name: is not set; name the issuer that stands for the federation's authority
{{- end }}
{{- end }}

{{- define "fedmol.certificateFolder" -}}
{{ if .Values.certificates.request }}/state/certs{{ else }}/certs{{ end }}
{{- end }}

{{- define "fedmol.certificateMount" -}}
{{- if not .Values.certificates.request }}
- {name: certs, mountPath: /certs, readOnly: true}
{{- end }}
{{- end }}

{{/*
Whole folders, never subPath, so that renewals arrive. The sidecar has a volume of its own, without the key.
Takes (root, name of the volume, the files in it).
*/}}
{{- define "fedmol.certificateVolume" -}}
{{- $root := index . 0 }}
{{- $keys := include "fedmol.certificateKeys" $root | fromJson }}
{{- if not $root.Values.certificates.request }}
- name: {{ index . 1 }}
  secret:
    secretName: {{ include "fedmol.certificateSecret" $root }}
    defaultMode: 0440
    items:
      {{- range index . 2 }}
      - {key: {{ get $keys . | quote }}, path: {{ get (dict "ca" "ca.crt" "certificate" "party.crt" "key" "party.key") . }}}
      {{- end }}
{{- end }}
{{- end }}
