{{/* What the shared templates ask the chart. */}}

{{- define "fedmol.component" -}}
aggregator
{{- end }}

{{- define "fedmol.party" -}}
aggregator
{{- end }}

{{/* The aggregator's own copy: it listens on the container's port, whatever sites dial. */}}
{{- define "fedmol.document" -}}
{{ mergeOverwrite (deepCopy .Values.federation) (dict "network" (dict "port" (.Values.listenPort | int))) | toYaml }}
{{- end }}

{{- define "fedmol.certificateNames" -}}
commonName: aggregator
{{- $address := include "fedmol.address" . }}
{{- if include "fedmol.isIp" $address }}
ipAddresses: [{{ $address | quote }}]
{{- with .Values.certificates.certManager.dnsNames }}
dnsNames: {{- toYaml . | nindent 2 }}
{{- end }}
{{- else }}
dnsNames: {{- prepend .Values.certificates.certManager.dnsNames $address | toYaml | nindent 2 }}
{{- end }}
{{- end }}

{{- define "fedmol.servicePort" -}}
{{ .Values.service.port | default (include "fedmol.port" .) | int | default (.Values.listenPort | int) }}
{{- end }}

{{- define "fedmol.nodePort" -}}
{{ .Values.service.nodePort | default (include "fedmol.port" .) | int }}
{{- end }}

{{- define "fedmol.wrongParty" -}}
{{- $nodePort := include "fedmol.nodePort" . | int }}
{{- if and (eq .Values.service.type "NodePort") (or (lt $nodePort 30000) (gt $nodePort 32767)) }}
service.nodePort: is {{ $nodePort }}, but a node's ports are those from 30000 to 32767; set it, or federation.network.port
{{- end }}
{{- if and (or .Values.ingress.enabled .Values.gateway.enabled) (include "fedmol.isIp" (include "fedmol.address" .)) }}
federation.network.address: is an IP address, but ingress and gateway find the aggregator by its name
{{- end }}
{{- if and .Values.gateway.enabled (not .Values.gateway.name) }}
gateway.name: is not set; name a Gateway with a TLS listener in mode Passthrough
{{- end }}
{{- if and .Values.networkPolicy.enabled (not (include "fedmol.peers" .Values.networkPolicy.sites)) }}
networkPolicy.sites: names nobody; give the CIDRs or namespaces that sites come from, or set networkPolicy.enabled to false
{{- end }}
{{- with .Values.evaluation }}
{{- if and .claim .secret }}
evaluation.claim and evaluation.secret: give one of them
{{- else if and (or .test .known) (not (or .claim .secret)) }}
evaluation.claim: is not set, but evaluation.test or evaluation.known is; name the claim or Secret with that file
{{- else if .claim }}
{{ include "fedmol.missing" (list $ "evaluation.claim" "PersistentVolumeClaim" .claim list) }}
{{- else if .secret }}
{{ include "fedmol.missing" (list $ "evaluation.secret" "Secret" .secret (compact (list .test .known))) }}
{{- end }}
{{- end }}
{{- end }}
