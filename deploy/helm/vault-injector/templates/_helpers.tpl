{{- define "vault-injector.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 49 characters leave room for `-manages-webhook` and `-tls`. */}}
{{- define "vault-injector.fullname" -}}
{{- $name := include "vault-injector.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $full | trunc 49 | trimSuffix "-" -}}
{{- end -}}

{{- define "vault-injector.selector" -}}
app.kubernetes.io/name: {{ include "vault-injector.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: webhook
{{- end -}}

{{- define "vault-injector.labels" -}}
{{ include "vault-injector.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "vault-injector.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "vault-injector.fullname" .) -}}
{{- end -}}

{{/* What the API server connects to; the certificate bears this name. */}}
{{- define "vault-injector.host" -}}
{{ include "vault-injector.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "vault-injector.secret" -}}
{{- if eq .Values.certificate.mode "certManager" -}}
{{- .Values.certificate.secretName | default (printf "%s-tls" (include "vault-injector.fullname" .)) -}}
{{- else -}}
{{- required "certificate.mode is secret: name the Secret in certificate.secretName" .Values.certificate.secretName -}}
{{- end -}}
{{- end -}}

{{/* Of an image {repository, tag, digest}. */}}
{{- define "vault-injector.reference" -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag }}{{- end -}}
{{- end -}}

{{- define "vault-injector.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- include "vault-injector.reference" (dict "repository" .Values.image.repository "tag" $tag "digest" .Values.image.digest) -}}
{{- end -}}

{{- define "vault-injector.agentImage" -}}
{{- $image := .Values.agent.image -}}
{{- if not $image.repository -}}
{{- if or $image.tag $image.digest -}}
{{- fail "agent.image has a tag or digest: name its repository as well" -}}
{{- end -}}
{{- include "vault-injector.image" . -}}
{{- else if or $image.tag $image.digest -}}
{{- include "vault-injector.reference" $image -}}
{{- else -}}
{{- fail (printf "agent.image.repository is %s: give agent.image.tag or agent.image.digest as well" $image.repository) -}}
{{- end -}}
{{- end -}}

{{/* Options of the webhook by name of variable. Empty ones are left to the webhook. */}}
{{- define "vault-injector.options" -}}
{{- $requests := .Values.agent.resources.requests -}}
{{- $limits := .Values.agent.resources.limits -}}
LISTEN: {{ printf ":%d" (int .Values.port) | quote }}
LOG_LEVEL: {{ .Values.log.level | quote }}
LOG_FORMAT: {{ .Values.log.format | quote }}
TELEMETRY_PATH: {{ .Values.metrics.enabled | ternary .Values.metrics.path "" | quote }}
VAULT_ADDR: {{ .Values.vault.address | quote }}
VAULT_AUTH_TYPE: {{ .Values.vault.auth.type | quote }}
VAULT_AUTH_PATH: {{ .Values.vault.auth.path | quote }}
AUTH_MIN_BACKOFF: {{ .Values.vault.auth.minBackoff | quote }}
AUTH_MAX_BACKOFF: {{ .Values.vault.auth.maxBackoff | quote }}
VAULT_CACERT_BYTES: {{ .Values.vault.caCert | quote }}
VAULT_NAMESPACE: {{ .Values.vault.namespace | quote }}
PROXY_ADDR: {{ .Values.vault.proxyAddress | quote }}
{{- /* The webhook's own image is native whatever it is called. */}}
AGENT: {{ and (eq .Values.agent.flavor "auto") (not .Values.agent.image.repository) | ternary "native" .Values.agent.flavor | quote }}
VAULT_IMAGE: {{ include "vault-injector.agentImage" . | quote }}
RUN_AS_USER: {{ int64 .Values.agent.runAsUser | toString | quote }}
RUN_AS_GROUP: {{ int64 .Values.agent.runAsGroup | toString | quote }}
RUN_AS_SAME_USER: {{ .Values.agent.runAsSameUser | toString | quote }}
SET_SECURITY_CONTEXT: {{ .Values.agent.setSecurityContext | toString | quote }}
REVOKE_ON_SHUTDOWN: {{ .Values.agent.revokeOnShutdown | toString | quote }}
DISABLE_IDLE_CONNECTIONS: {{ join "," .Values.agent.disableIdleConnections | quote }}
DISABLE_KEEP_ALIVES: {{ join "," .Values.agent.disableKeepAlives | quote }}
CPU_REQUEST: {{ $requests.cpu | toString | quote }}
CPU_LIMIT: {{ $limits.cpu | toString | quote }}
MEM_REQUEST: {{ $requests.memory | toString | quote }}
MEM_LIMIT: {{ $limits.memory | toString | quote }}
EPHEMERAL_REQUEST: {{ index $requests "ephemeral-storage" | toString | quote }}
EPHEMERAL_LIMIT: {{ index $limits "ephemeral-storage" | toString | quote }}
DEFAULT_TEMPLATE: {{ .Values.template.default | quote }}
TEMPLATE_CONFIG_EXIT_ON_RETRY_FAILURE: {{ .Values.template.exitOnRetryFailure | toString | quote }}
TEMPLATE_LEASE_RENEWAL_THRESHOLD: {{ .Values.template.leaseRenewalThreshold | toString | quote }}
TEMPLATE_MAX_CONNECTIONS_PER_HOST: {{ int64 .Values.template.maxConnectionsPerHost | toString | quote }}
TEMPLATE_STATIC_SECRET_RENDER_INTERVAL: {{ .Values.template.staticSecretRenderInterval | quote }}
TLS_MIN_VERSION: {{ .Values.tls.minVersion | quote }}
TLS_CIPHER_SUITES: {{ join "," .Values.tls.cipherSuites | quote }}
{{- if eq .Values.certificate.mode "automatic" }}
{{- $name := include "vault-injector.fullname" . }}
TLS_AUTO: {{ $name | quote }}
TLS_AUTO_HOSTS: {{ printf "%s,%s.%s,%s" $name $name .Release.Namespace (include "vault-injector.host" .) | quote }}
USE_LEADER_ELECTOR: {{ gt (int .Values.replicas) 1 | toString | quote }}
{{- else }}
TLS_CERT_FILE: /etc/webhook/certs/tls.crt
TLS_KEY_FILE: /etc/webhook/certs/tls.key
{{- end }}
{{- end -}}

{{/* Conditions {"own": [matchExpressions], "more": a selector} as one selector. */}}
{{- define "vault-injector.selectorOf" -}}
{{- $expressions := concat .own (.more.matchExpressions | default list) -}}
{{- with .more.matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $expressions }}
matchExpressions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "vault-injector.probes" -}}
startupProbe: {path: /health/ready, periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 30}
readinessProbe: {path: /health/ready, periodSeconds: 5, timeoutSeconds: 2, failureThreshold: 2}
livenessProbe: {path: /health/live, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3}
{{- end -}}

{{/* Alerts, with selectors of our series (`ours`) and of our Deployment in kube-state-metrics (`deployment`). */}}
{{- define "vault-injector.alerts" -}}
- alert: VaultInjectorNotReady
  severity: critical
  for: 2m
  expr: >-
    kube_deployment_status_replicas_available{ {{- .deployment -}} } == 0
    or absent(up{ {{- .ours -}} } == 1)
  summary: No replica of vault-injector answers
  description: Annotated pods start without their secrets or, with failurePolicy Fail, do not start.
- alert: VaultInjectorReviewsFail
  severity: critical
  for: 0m
  expr: >-
    sum(increase(vault_injector_http_responses_total{ {{- .ours -}} ,code=~"5.."}[10m])) > 0
    or sum(vault_injector_http_responses_total{ {{- .ours -}} ,code=~"5.."}
    unless vault_injector_http_responses_total{ {{- .ours -}} ,code=~"5.."} offset 10m) > 0
  summary: vault-injector does not answer reviews
  description: The log has a line of level error with the place. failurePolicy decided on the pods.
- alert: VaultInjectorOverloaded
  severity: warning
  for: 5m
  expr: >-
    sum(increase(vault_injector_http_responses_total{ {{- .ours -}} ,code="429"}[10m])) > 0
  summary: vault-injector has too many reviews at once
  description: API servers try again while timeoutSeconds lasts. More replicas help.
- alert: VaultInjectorNotTrusted
  severity: critical
  for: 5m
  expr: >-
    sum(vault_injector_ca_bundle{ {{- .ours -}} ,state!="present"}) > 0
    or (sum(increase(vault_injector_handshake_failures_total{ {{- .ours -}} }[15m])) > 5
    unless sum(increase(vault_injector_request_duration_seconds_count{ {{- .ours -}} }[15m])) > 0)
  summary: API servers do not trust the certificate of vault-injector
  description: A replica has not seen its CA in the caBundle of the MutatingWebhookConfiguration, or TLS sessions fail and no review comes. The log says what hinders it.
- alert: VaultInjectorCertificateExpires
  severity: warning
  for: 5m
  expr: >-
    min(vault_injector_certificate_expiration_timestamp_seconds{ {{- .ours -}} }) - time() < {{ .lead }}
  summary: The certificate of vault-injector ends soon and was not renewed
  description: A replica whose certificate has expired is not ready.
- alert: VaultInjectorDenials
  severity: warning
  for: 10m
  expr: >-
    sum(increase(vault_injector_decisions_total{ {{- .ours -}} ,decision="deny"}[15m])) > 5
    and sum(increase(vault_injector_decisions_total{ {{- .ours -}} ,decision="deny"}[15m]))
    / sum(increase(vault_injector_decisions_total{ {{- .ours -}} ,decision=~"deny|inject"}[15m])) > 0.1
  summary: vault-injector refuses more than a tenth of the pods
  description: "Their annotations are wrong, or they are tried again and again: events of their ReplicaSets and the log say which and why."
{{- end -}}
