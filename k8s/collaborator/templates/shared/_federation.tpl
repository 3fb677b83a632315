{{/* federation.yaml, as far as a chart has to know it. */}}

{{- define "fedmol.address" -}}
{{ dig "network" "address" "" .Values.federation }}
{{- end }}

{{/* Where sites dial, as a number; 0 where it is not told. */}}
{{- define "fedmol.port" -}}
{{ dig "network" "port" 0 .Values.federation | int }}
{{- end }}

{{- define "fedmol.isIp" -}}
{{ or (regexMatch "^[0-9]{1,3}([.][0-9]{1,3}){3}$" .) (contains ":" .) | ternary "yes" "" }}
{{- end }}

{{- define "fedmol.configMap" -}}
{{ .Values.federationConfigMap | default (printf "%s-federation" (include "fedmol.name" .)) }}
{{- end }}

{{/* Names of the sites, as a JSON list. */}}
{{- define "fedmol.sites" -}}
{{- $names := list }}
{{- range dig "sites" list .Values.federation }}{{ $names = append $names .name }}{{ end }}
{{- $names | toJson }}
{{- end }}
