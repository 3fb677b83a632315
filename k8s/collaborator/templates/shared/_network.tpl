{{/* Peers of a NetworkPolicy's rule from two lists, {cidrs, namespaces}. */}}
{{- define "fedmol.peers" -}}
{{- range .cidrs }}
- ipBlock: {cidr: {{ . | quote }}}
{{- end }}
{{- range .namespaces }}
- namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ . }}}}
{{- end }}
{{- end }}
