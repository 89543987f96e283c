{{- define "vault-injector.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 49 characters leave room for `-self-signed`. The Service has this name, and Kubernetes takes less for one of it than
Helm for a release. */}}
{{- define "vault-injector.fullname" -}}
{{- $name := include "vault-injector.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- $full = regexReplaceAll "[-.]+$" (.Values.fullnameOverride | default $full | trunc 49) "" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) -}}
{{- fail (printf "no Service can have the name %s: set fullnameOverride to small letters, digits and dashes, a letter first" $full) -}}
{{- end -}}
{{- $full -}}
{{- end -}}

{{- define "vault-injector.selector" -}}
app.kubernetes.io/name: {{ include "vault-injector.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
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

{{/* Whether a repository names its registry: a first part with a dot or a port does, or localhost, as for Docker. */}}
{{- define "vault-injector.hasRegistry" -}}
{{- if regexMatch "^([^/]*[.:][^/]*|localhost)/" . -}}true{{- end -}}
{{- end -}}

{{/* Of an image {repository, tag, digest}, and the registry for those that name none. */}}
{{- define "vault-injector.reference" -}}
{{- if and .registry (not (include "vault-injector.hasRegistry" .repository)) -}}{{ .registry }}/{{- end -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag }}{{- end -}}
{{- end -}}

{{- define "vault-injector.image" -}}
{{- $image := merge (dict "registry" .Values.global.imageRegistry) .Values.image -}}
{{- include "vault-injector.reference" (set $image "tag" (.Values.image.tag | default .Chart.AppVersion)) -}}
{{- end -}}

{{/* Secrets of the chart and of the whole installation, each once; those are names in some charts. */}}
{{- define "vault-injector.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat (.Values.global.imagePullSecrets | default list) (.Values.imagePullSecrets | default list) -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $secrets -}}{{ uniq . | toYaml }}{{- end -}}
{{- end -}}

{{- define "vault-injector.agentImage" -}}
{{- $image := .Values.agent.image -}}
{{- if not $image.repository -}}
{{- if or $image.tag $image.digest -}}
{{- fail "agent.image has a tag or digest: name its repository as well" -}}
{{- end -}}
{{- include "vault-injector.image" . -}}
{{- else if or $image.tag $image.digest -}}
{{- include "vault-injector.reference" (merge (dict "registry" .Values.global.imageRegistry) $image) -}}
{{- else -}}
{{- fail (printf "agent.image.repository is %s: give agent.image.tag or agent.image.digest as well" $image.repository) -}}
{{- end -}}
{{- end -}}

{{/* A value as text of a variable: whole numbers without exponent, lists with commas, null as nothing. */}}
{{- define "vault-injector.text" -}}
{{- if kindIs "float64" . -}}
{{- eq (floor .) . | ternary (int64 . | toString) (toString .) -}}
{{- else if kindIs "slice" . -}}
{{- join "," . -}}
{{- else if not (kindIs "invalid" .) -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* Which agents there are. The webhook's own image is native, also where its name does not say so; where it does, an image
that a pod names is judged by its own name. */}}
{{- define "vault-injector.flavor" -}}
{{- $named := regexMatch "(^|/)vault-injector$" .Values.image.repository -}}
{{- $flavor := .Values.agent.flavor | default "auto" -}}
{{- if and (eq $flavor "vault") (not .Values.agent.image.repository) -}}
{{- fail "agent.flavor is vault, and the webhook's image has no agent of Vault: name one in agent.image" -}}
{{- end -}}
{{- $own := and (eq $flavor "auto") (not .Values.agent.image.repository) -}}
{{- and $own (not $named) | ternary "native" $flavor -}}
{{- end -}}

{{/* Options of the webhook by name of variable. Empty and null ones are left to the webhook. */}}
{{- define "vault-injector.options" -}}
{{- $requests := .Values.agent.resources.requests -}}
{{- $limits := .Values.agent.resources.limits -}}
LISTEN: {{ printf ":%d" (int .Values.port) | quote }}
LOG_LEVEL: {{ .Values.log.level | toJson }}
LOG_FORMAT: {{ .Values.log.format | toJson }}
TELEMETRY_PATH: {{ .Values.metrics.enabled | ternary .Values.metrics.path "" | quote }}
VAULT_ADDR: {{ .Values.vault.address | toJson }}
VAULT_AUTH_TYPE: {{ .Values.vault.auth.type | toJson }}
VAULT_AUTH_PATH: {{ .Values.vault.auth.path | toJson }}
AUTH_MIN_BACKOFF: {{ .Values.vault.auth.minBackoff | toJson }}
AUTH_MAX_BACKOFF: {{ .Values.vault.auth.maxBackoff | toJson }}
VAULT_CACERT_BYTES: {{ .Values.vault.caCert | toJson }}
VAULT_NAMESPACE: {{ .Values.vault.namespace | toJson }}
PROXY_ADDR: {{ .Values.vault.proxyAddress | toJson }}
AGENT: {{ include "vault-injector.flavor" . | quote }}
VAULT_IMAGE: {{ include "vault-injector.agentImage" . | quote }}
RUN_AS_USER: {{ .Values.agent.runAsUser | toJson }}
RUN_AS_GROUP: {{ .Values.agent.runAsGroup | toJson }}
RUN_AS_SAME_USER: {{ .Values.agent.runAsSameUser | toJson }}
SET_SECURITY_CONTEXT: {{ .Values.agent.setSecurityContext | toJson }}
REVOKE_ON_SHUTDOWN: {{ .Values.agent.revokeOnShutdown | toJson }}
DISABLE_IDLE_CONNECTIONS: {{ .Values.agent.disableIdleConnections | toJson }}
DISABLE_KEEP_ALIVES: {{ .Values.agent.disableKeepAlives | toJson }}
CPU_REQUEST: {{ $requests.cpu | toJson }}
CPU_LIMIT: {{ $limits.cpu | toJson }}
MEM_REQUEST: {{ $requests.memory | toJson }}
MEM_LIMIT: {{ $limits.memory | toJson }}
EPHEMERAL_REQUEST: {{ index $requests "ephemeral-storage" | toJson }}
EPHEMERAL_LIMIT: {{ index $limits "ephemeral-storage" | toJson }}
DEFAULT_TEMPLATE: {{ .Values.template.default | toJson }}
TEMPLATE_CONFIG_EXIT_ON_RETRY_FAILURE: {{ .Values.template.exitOnRetryFailure | toJson }}
TEMPLATE_LEASE_RENEWAL_THRESHOLD: {{ .Values.template.leaseRenewalThreshold | toJson }}
TEMPLATE_MAX_CONNECTIONS_PER_HOST: {{ .Values.template.maxConnectionsPerHost | toJson }}
TEMPLATE_STATIC_SECRET_RENDER_INTERVAL: {{ .Values.template.staticSecretRenderInterval | toJson }}
TLS_MIN_VERSION: {{ .Values.tls.minVersion | toJson }}
TLS_CIPHER_SUITES: {{ .Values.tls.cipherSuites | toJson }}
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
