{{/*
Values that cannot work. Each finding is a line that begins with the value's name; all are said at once, when the chart is
installed or upgraded. What a value may look like at all is in values.schema.json.
*/}}

{{- define "fedmol.refuseWrong" -}}
{{- $wrong := printf "%s\n%s\n%s\n%s" (include "fedmol.wrongRun" .) (include "fedmol.wrongFederation" .) (include "fedmol.wrongCertificates" .) (include "fedmol.wrongParty" .) }}
{{- $lines := list }}
{{- range splitList "\n" $wrong }}{{ with trim . }}{{ $lines = append $lines . }}{{ end }}{{ end }}
{{- if $lines }}{{ printf "these values cannot work:\n%s" (join "\n" $lines) | fail }}{{ end }}
{{- end }}

{{- define "fedmol.wrongRun" -}}
{{- if not .Values.run }}
run: is not set; give the run's id, the same at the aggregator and at every site
{{- end }}
{{- end }}

{{- define "fedmol.wrongFederation" -}}
{{- if and .Values.federation .Values.federationConfigMap }}
federation: is given, and federationConfigMap, too; give one of them
{{- else if .Values.federationConfigMap }}
{{ include "fedmol.missing" (list . "federationConfigMap" "ConfigMap" .Values.federationConfigMap (list "federation.yaml")) }}
{{- else if not .Values.federation }}
federation: is empty; give the coordinator's federation.yaml under this name, or federationConfigMap
{{- else }}
{{- $sites := include "fedmol.sites" . | fromJsonArray }}
{{- $quorum := dig "rounds" "quorum" 0 .Values.federation | default 0 | int }}
{{- if not $sites }}
federation.sites: names no site
{{- end }}
{{- if ne (len $sites) (len (uniq $sites)) }}
federation.sites: names a site twice ({{ join ", " $sites }})
{{- end }}
{{- if gt $quorum (len $sites) }}
federation.rounds.quorum: is {{ $quorum }}, but federation.sites has {{ len $sites }}
{{- end }}
{{- if not (include "fedmol.address" .) }}
federation.network.address: is not set; give the name or IP address under which sites reach the aggregator
{{- end }}
{{- if eq (include "fedmol.port" .) "0" }}
federation.network.port: is not set; give the port on which sites reach the aggregator
{{- end }}
{{- end }}
{{- end }}

{{/*
Whether an object that was named is there, with its keys. Takes (root, name of the value, kind, name, keys).
Only said where a cluster answers: without one, no namespace seems to have its default service account.
*/}}
{{- define "fedmol.missing" -}}
{{- $root := index . 0 }}{{ $value := index . 1 }}{{ $kind := index . 2 }}{{ $name := index . 3 }}{{ $namespace := $root.Release.Namespace }}
{{- if lookup "v1" "ServiceAccount" $namespace "default" }}
{{- $found := lookup "v1" $kind $namespace $name }}
{{- if not $found }}
{{ $value }}: there is no {{ $kind }} {{ $name }} in namespace {{ $namespace }}
{{- else }}
{{- range index . 4 }}
{{- if not (hasKey ($found.data | default dict) .) }}
{{ $value }}: the {{ $kind }} {{ $name }} has no key {{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
