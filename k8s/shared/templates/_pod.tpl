{{/* What every pod and container of this chart has in common: rights, health, the sidecar. */}}

{{/* Of a pod that takes part. A change of the settings starts it anew. */}}
{{- define "fedmol.podMetadata" -}}
labels:
  {{- include "fedmol.labels" . | nindent 2 }}
  app.kubernetes.io/component: {{ include "fedmol.component" . }}
  party: {{ include "fedmol.party" . }}
  {{- with .Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  {{- if not .Values.federationConfigMap }}
  checksum/config: {{ include "fedmol.document" . | sha256sum }}
  {{- end }}
  kubectl.kubernetes.io/default-container: {{ include "fedmol.component" . }}
  {{- include "fedmol.scrapeAnnotations" . | trim | nindent 2 }}
  {{- with .Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "fedmol.podRights" -}}
serviceAccountName: {{ include "fedmol.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  # A key that only its owner may read stays so when the pod starts again.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Of a container, by its user: the restricted profile, and a root file system that cannot be written to. */}}
{{- define "fedmol.rights" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: 10001
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "fedmol.container" -}}
image: {{ include "fedmol.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext: {{- include "fedmol.rights" 10001 | nindent 2 }}
{{- end }}

{{/* By the program's own heartbeat alone: that a peer is away is no illness of this process. */}}
{{- define "fedmol.health" -}}
startupProbe:
  exec: {command: [python, -m, fedmol.heartbeat, {{ include "fedmol.runFolder" . }}]}
  periodSeconds: 5
  timeoutSeconds: 15
  failureThreshold: {{ div (.Values.startupSeconds | int) 5 }}
livenessProbe:
  exec: {command: [python, -m, fedmol.heartbeat, {{ include "fedmol.runFolder" . }}]}
  periodSeconds: 20
  timeoutSeconds: 15
  failureThreshold: 6
{{- end }}

{{/* Shows the run. A user of its own, which cannot read a party's key, and nothing that it could write to. */}}
{{- define "fedmol.sidecar" -}}
- name: sidecar
  image: {{ include "fedmol.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  securityContext: {{- include "fedmol.rights" 10002 | nindent 4 }}
  command: [fedmol-sidecar]
  args:
    - --log
    - {{ include "fedmol.runFolder" . }}
    {{- if eq (include "fedmol.component" .) "aggregator" }}
    - --results
    - /results/{{ .Values.run }}
    {{- end }}
    - --certs
    - {{ include "fedmol.certificateFolder" . }}
    - --host
    - 0.0.0.0
    - --port
    - "8080"
    - --answer-to
    - $(POD_IP)
    - --answer-to
    - {{ include "fedmol.name" . }}-sidecar
    - --answer-to
    - {{ include "fedmol.name" . }}-sidecar.{{ .Release.Namespace }}.svc
  env:
    - name: POD_IP
      valueFrom: {fieldRef: {fieldPath: status.podIP}}
  ports:
    - {name: http, containerPort: 8080}
  startupProbe:
    httpGet: {path: /healthz, port: http}
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: 90
  livenessProbe:
    httpGet: {path: /healthz, port: http}
    periodSeconds: 20
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet: {path: /readyz, port: http}
    periodSeconds: 5
    timeoutSeconds: 5
  resources: {{- toYaml .Values.resources.sidecar | nindent 4 }}
  volumeMounts:
    - {name: state, mountPath: /state, readOnly: true}
    {{- if eq (include "fedmol.component" .) "aggregator" }}
    - {name: results, mountPath: /results, readOnly: true}
    {{- end }}
    {{- if not .Values.certificates.request }}
    - {name: certs-shown, mountPath: /certs, readOnly: true}
    {{- end }}
    - {name: tmp-sidecar, mountPath: /tmp}
{{- end }}

{{/* A run has a folder of its own, so that the next one needs no other volume. */}}
{{- define "fedmol.runFolder" -}}
/state/{{ .Values.run }}
{{- end }}

{{- define "fedmol.settingsVolume" -}}
- name: settings
  configMap:
    name: {{ include "fedmol.configMap" . }}
    items:
      - {key: federation.yaml, path: federation.yaml}
{{- end }}

{{- define "fedmol.claim" -}}
- metadata:
    name: {{ .name }}
    labels: {{- include "fedmol.selector" .root | nindent 6 }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .claim.storageClass }}
    storageClassName: {{ . | quote }}
    {{- end }}
    resources: {requests: {storage: {{ .claim.size | quote }}}}
{{- end }}
