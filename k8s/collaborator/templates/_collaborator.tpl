{{/* What the shared templates ask the chart. */}}

{{- define "fedmol.component" -}}
collaborator
{{- end }}

{{- define "fedmol.party" -}}
{{ .Values.site }}
{{- end }}

{{- define "fedmol.document" -}}
{{ .Values.federation | toYaml }}
{{- end }}

{{- define "fedmol.certificateNames" -}}
# By this name the aggregator knows the site.
commonName: {{ .Values.site | quote }}
dnsNames: [{{ .Values.site | quote }}]
{{- end }}

{{- define "fedmol.aggregatorPeers" -}}
{{- $address := include "fedmol.address" . }}
{{- with include "fedmol.peers" .Values.networkPolicy.aggregator }}
{{- . }}
{{- else }}
{{- if regexMatch "^[0-9]{1,3}([.][0-9]{1,3}){3}$" $address }}
- ipBlock: {cidr: {{ $address }}/32}
{{- end }}
{{- end }}
{{- end }}

{{- define "fedmol.aggregatorPort" -}}
{{ .Values.networkPolicy.aggregator.port | default (include "fedmol.port" .) | int }}
{{- end }}

{{- define "fedmol.wrongParty" -}}
{{- if not .Values.site }}
site: is not set; give this site's name in federation.yaml
{{- else if and .Values.federation (not (has .Values.site (include "fedmol.sites" . | fromJsonArray))) }}
site: is {{ .Values.site }}, but federation.sites has {{ include "fedmol.sites" . | fromJsonArray | join ", " }}
{{- end }}
{{- with .Values.shard }}
{{- if and .claim .secret }}
shard.claim and shard.secret: give one of them
{{- else if .claim }}
{{ include "fedmol.missing" (list $ "shard.claim" "PersistentVolumeClaim" .claim list) }}
{{- else if .secret }}
{{ include "fedmol.missing" (list $ "shard.secret" "Secret" .secret (list .file)) }}
{{- else }}
shard.claim: is not set; name the claim with the site's molecules, or shard.secret for a trial
{{- end }}
{{- end }}
{{- if .Values.networkPolicy.enabled }}
{{- if not (include "fedmol.aggregatorPeers" .) }}
networkPolicy.aggregator: says not where the aggregator is; give its cidrs or namespaces, or set networkPolicy.enabled to false
{{- end }}
{{- if and .Values.federationConfigMap (not .Values.networkPolicy.aggregator.port) }}
networkPolicy.aggregator.port: is not set; with federationConfigMap, give the port on which the aggregator is reached
{{- end }}
{{- end }}
{{- if and (eq (dig "training" "device" "auto" .Values.federation) "cuda") (not .Values.gpu.count) }}
gpu.count: is 0, but federation.training.device is cuda
{{- end }}
{{- end }}

{{- define "fedmol.doctorArguments" -}}
--settings, /etc/fedmol/federation.yaml, --certs, {{ include "fedmol.certificateFolder" . }}, --site, {{ .Values.site | quote }}, --shard, /shard/{{ .Values.shard.file }}, --work, {{ include "fedmol.runFolder" . }}, --run, {{ .Values.run | quote }}
{{- end }}

{{/* The container's resources with the site's GPUs, which are limits only: a request for them is the same. */}}
{{- define "fedmol.withGpu" -}}
{{- $resources := deepCopy .Values.resources.collaborator }}
{{- if .Values.gpu.count }}
{{- $resources = mergeOverwrite $resources (dict "limits" (dict .Values.gpu.resource (.Values.gpu.count | int))) }}
{{- end }}
{{- $resources | toYaml }}
{{- end }}

{{- define "fedmol.siteMounts" -}}
- {name: settings, mountPath: /etc/fedmol, readOnly: true}
{{- include "fedmol.certificateMount" . }}
- {name: shard, mountPath: /shard, readOnly: true}
- {name: state, mountPath: /state}
- {name: shm, mountPath: /dev/shm}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "fedmol.siteVolumes" -}}
{{- include "fedmol.settingsVolume" . }}
{{- include "fedmol.certificateVolume" (list . "certs" (list "ca" "certificate" "key")) }}
- name: shard
  {{- if .Values.shard.claim }}
  persistentVolumeClaim: {claimName: {{ .Values.shard.claim }}, readOnly: true}
  {{- else }}
  secret:
    secretName: {{ .Values.shard.secret }}
    defaultMode: 0440
    items:
      - {key: {{ .Values.shard.file | quote }}, path: {{ .Values.shard.file | quote }}}
  {{- end }}
- {name: shm, emptyDir: {medium: Memory, sizeLimit: {{ .Values.sharedMemory | quote }}}}
- {name: tmp, emptyDir: {sizeLimit: 512Mi}}
{{- end }}

{{- define "fedmol.hosts" -}}
{{- with .Values.gpu.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
