{{- define "partnercenter-exporter.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* The name is the job's, whatever a parent chart calls this one: its alias tells two in one release apart. */ -}}
{{- define "partnercenter-exporter.selectorLabels" -}}
app.kubernetes.io/name: partnercenter-exporter
app.kubernetes.io/instance: {{ .Release.Name }}
{{- if ne .Chart.Name "partnercenter-exporter" }}
app.kubernetes.io/component: {{ .Chart.Name }}
{{- end }}
{{- end -}}

{{- define "partnercenter-exporter.labels" -}}
{{ include "partnercenter-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "partnercenter-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "partnercenter-exporter.fullname" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "partnercenter-exporter.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "partnercenter-exporter.configMapName" -}}
{{- .Values.existingConfigMap | default (printf "%s-config" (include "partnercenter-exporter.fullname" .)) -}}
{{- end -}}

{{- /* Fails for values of which one would have no effect. */ -}}
{{- define "partnercenter-exporter.contradictions" -}}
{{- if and .Values.existingConfigMap (ne (toJson .Values.config) (toJson (dict "partners" list))) -}}
{{- fail "existingConfigMap and config: use one of them" -}}
{{- end -}}
{{- if and .Values.existingConfigMap .Values.ca.pem -}}
{{- fail "existingConfigMap and ca.pem: put the certificates into a ConfigMap too, and name it in ca.existingConfigMap" -}}
{{- end -}}
{{- if and .Values.ca.pem .Values.ca.existingConfigMap -}}
{{- fail "ca.pem and ca.existingConfigMap: use one of them" -}}
{{- end -}}
{{- if and .Values.secrets.existingSecret .Values.secrets.create -}}
{{- fail "secrets.existingSecret and secrets.create: use one of them" -}}
{{- end -}}
{{- if and .Values.proxy.url .Values.proxy.existingSecret -}}
{{- fail "proxy.url and proxy.existingSecret: use one of them" -}}
{{- end -}}
{{- if and .Values.web.tlsSecret (not .Values.web.config) -}}
{{- fail "web.tlsSecret: web.config must name its files" -}}
{{- end -}}
{{- if and .Values.persistence.existingClaim (not .Values.persistence.enabled) -}}
{{- fail "persistence.existingClaim: persistence.enabled is false" -}}
{{- end -}}
{{- end -}}

{{- /* The file that the exporter reads. */ -}}
{{- define "partnercenter-exporter.config" -}}
{{- if not .Values.config.partners -}}
{{- fail "config.partners: at least one partner is required, or existingConfigMap" -}}
{{- end -}}
{{- $config := merge (dict "state_dir" "/var/lib/partnercenter-exporter/state") (deepCopy .Values.config) -}}
{{- if or .Values.ca.pem .Values.ca.existingConfigMap -}}
{{- $_ := set $config "http" (merge (dict "ca_file" "ca.pem") ($config.http | default dict)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- /* Name of the Secret whose keys are files of secrets; empty if there is none. */ -}}
{{- define "partnercenter-exporter.secretName" -}}
{{- if .Values.secrets.create -}}
{{- include "partnercenter-exporter.fullname" . -}}
{{- else -}}
{{- .Values.secrets.existingSecret -}}
{{- end -}}
{{- end -}}

{{- /* A file of rules or a dashboard, with the address of the repository in its links. */ -}}
{{- define "partnercenter-exporter.linked" -}}
{{- $home := .root.Chart.Home -}}
{{- toString .content | replace (printf "%s/" $home) (printf "%s/" (.root.Values.repositoryUrl | default $home | trimSuffix "/")) -}}
{{- end -}}

{{- define "partnercenter-exporter.hasTls" -}}
{{- if (.Values.web.config.tls_server_config | default dict).cert_file -}}true{{- end -}}
{{- end -}}

{{- /* What `run` and `check --offline` have in common. */ -}}
{{- define "partnercenter-exporter.files" -}}
- --config.file=/etc/partnercenter-exporter/config.yaml
{{- if .Values.web.config }}
- --web.config.file=/etc/partnercenter-exporter-web/web.yaml
{{- end }}
{{- end -}}

{{- define "partnercenter-exporter.container" -}}
image: {{ include "partnercenter-exporter.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
# Errors in the configuration are shown by `kubectl describe pod`.
terminationMessagePolicy: FallbackToLogsOnError
securityContext: {{- toYaml .Values.securityContext | nindent 2 }}
resources: {{- toYaml .Values.resources | nindent 2 }}
{{- with include "partnercenter-exporter.env" . }}
env: {{- . | nindent 2 }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: config
    mountPath: /etc/partnercenter-exporter
    readOnly: true
  {{- if include "partnercenter-exporter.secretName" . }}
  - name: secrets
    mountPath: /var/run/secrets/partnercenter-exporter
    readOnly: true
  {{- end }}
  {{- if .Values.workloadIdentity.enabled }}
  - name: identity
    mountPath: /var/run/secrets/azure/tokens
    readOnly: true
  {{- end }}
  {{- if .Values.web.config }}
  - name: web
    mountPath: /etc/partnercenter-exporter-web
    readOnly: true
  {{- end }}
  - name: state
    mountPath: /var/lib/partnercenter-exporter
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "partnercenter-exporter.env" -}}
{{- if .Values.proxy.url -}}
- name: HTTPS_PROXY
  value: {{ .Values.proxy.url | quote }}
{{ end -}}
{{- if .Values.proxy.existingSecret -}}
- name: HTTPS_PROXY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.proxy.existingSecret }}
      key: {{ .Values.proxy.key }}
{{ end -}}
{{- if .Values.proxy.noProxy -}}
- name: NO_PROXY
  value: {{ .Values.proxy.noProxy | quote }}
{{ end -}}
{{- with .Values.extraEnv -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{- /* Asked over HTTP, except where that takes a client certificate. `path`, and `root`: the chart's. */ -}}
{{- define "partnercenter-exporter.probe" -}}
{{- $clients := (.root.Values.web.config.tls_server_config | default dict).client_auth_type | default "" -}}
{{- if hasPrefix "Require" $clients -}}
exec:
  command: [partnercenter-exporter, healthcheck, --pid=1]
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http
  {{- if include "partnercenter-exporter.hasTls" .root }}
  scheme: HTTPS
  {{- end }}
{{- end -}}
{{- end -}}
