{{/* Prometheus finds the sidecar by a ServiceMonitor where the cluster knows that kind, and by annotations where not. */}}

{{- define "fedmol.operator" -}}
{{ and .Values.monitoring.enabled (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") | ternary "yes" "" }}
{{- end }}

{{/* Of the pod; empty where a ServiceMonitor does it, or nobody shall. */}}
{{- define "fedmol.scrapeAnnotations" -}}
{{- if and .Values.monitoring.enabled (not (include "fedmol.operator" .)) }}
prometheus.io/scrape: "true"
prometheus.io/port: "8080"
prometheus.io/path: /metrics
{{- end }}
{{- end }}

{{/* The name under which Prometheus keeps what it finds here: the aggregator tells of the federation, a site of itself. */}}
{{- define "fedmol.job" -}}
{{ eq (include "fedmol.component" .) "aggregator" | ternary "aggregator" "site" }}
{{- end }}
