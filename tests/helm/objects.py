"""What must hold of the chart's objects with any values. Every function yields what is wrong."""
import re

from kube_schema import complaint
from render import NAMESPACE, ROOT

# Kinds of others and what they must have.
FOREIGN = {
    "Certificate": ("cert-manager.io/v1", {"secretName", "issuerRef", "privateKey"}),
    "Issuer": ("cert-manager.io/v1", set()),
    "PrometheusRule": ("monitoring.coreos.com/v1", {"groups"}),
    "ServiceMonitor": ("monitoring.coreos.com/v1", {"selector", "endpoints"}),
}
# What a process that is asked questions may do: its own configuration, its own Secrets, its own Lease.
PERMISSIONS = {
    ("mutatingwebhookconfigurations", "NAME"): {"get", "list", "watch", "patch"},
    ("secrets", "*"): {"create"},
    ("secrets", "vault-injector-ca"): {"get", "update"},
    ("leases", "*"): {"create"},
    ("leases", "vault-injector"): {"get", "update"},
}
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


class Objects:
    """Objects by kind, as they are rendered."""

    def __init__(self, objects):
        self.all = objects

    def of(self, kind):
        return [o for o in self.all if o["kind"] == kind]

    def one(self, kind):
        found = self.of(kind)
        assert len(found) == 1, f"{len(found)} objects of kind {kind}"
        return found[0]

    @property
    def pod(self):
        return self.one("Deployment")["spec"]["template"]

    @property
    def container(self):
        return self.pod["spec"]["containers"][0]

    @property
    def env(self):
        return {e["name"]: e.get("value", e.get("valueFrom")) for e in self.container["env"]}

    @property
    def webhook(self):
        return self.one("MutatingWebhookConfiguration")["webhooks"][0]


def known_options():
    """The webhook's variables with their defaults, of its own document."""
    text = (ROOT / "docs/webhook-options.md").read_text()
    rows = re.findall(r"^\| `(AGENT_INJECT_\w+)` \|.*\| (.*) \|$", text, re.M)
    assert len(rows) > 30, "docs/webhook-options.md has another form"
    defaults = {name: re.search(r"\(default (.*)\)$", doc) for name, doc in rows}
    return {name: found.group(1) if found else "" for name, found in defaults.items()}


def is_accepted_by_kubernetes(objects):
    for manifest in objects.all:
        kind, where = manifest["kind"], f"{manifest['kind']} {manifest['metadata']['name']}"
        if kind in FOREIGN:
            version, members = FOREIGN[kind]
            if manifest["apiVersion"] != version or not manifest["spec"] or members - manifest["spec"].keys():
                yield f"{where}: want {version} with {sorted(members)}"
        elif why := complaint(manifest):
            yield f"{where}: {why}"
        namespaced = not kind.startswith(("ClusterRole", "Mutating"))
        if manifest["metadata"].get("namespace") != (NAMESPACE if namespaced else None):
            yield f"{where}: wrong namespace"
    for manifest in [m for m in objects.all if "helm.sh/hook" in str(m)]:
        yield f"{manifest['kind']} is a hook"


def is_restricted(objects):
    """The level `restricted` of the Pod Security Standards, and a read-only root."""
    pod = objects.pod["spec"]
    context = pod.get("securityContext", {})
    own = objects.container["securityContext"]
    if pod.get("hostNetwork") or pod.get("hostPID") or pod.get("hostIPC"):
        yield "a namespace of the host"
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
        yield "may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "no seccomp profile"
    if own["allowPrivilegeEscalation"] is not False or own["capabilities"] != {"drop": ["ALL"]}:
        yield "privileges"
    if own["readOnlyRootFilesystem"] is not True:
        yield "a writable root"
    for volume in pod.get("volumes", []):
        if not VOLUMES & volume.keys():
            yield f"volume {volume['name']}"


def hangs_together(objects):
    """Names in one object are those of another."""
    deployment, service, hook = objects.one("Deployment"), objects.one("Service"), objects.webhook
    labels, pod, env = objects.pod["metadata"]["labels"], objects.pod["spec"], objects.env
    selectors = {"Deployment": deployment["spec"]["selector"]["matchLabels"], "Service": service["spec"]["selector"]}
    selectors |= {o["kind"]: o["spec"]["selector"]["matchLabels"]
                  for kind in ("PodDisruptionBudget", "ServiceMonitor") for o in objects.of(kind)}
    selectors |= {"NetworkPolicy": o["spec"]["podSelector"]["matchLabels"] for o in objects.of("NetworkPolicy")}
    for kind, selector in selectors.items():
        theirs = service["metadata"]["labels"] if kind == "ServiceMonitor" else labels
        if not selector or not selector.items() <= theirs.items():
            yield f"{kind} selects {selector}, not these pods"
    call = hook["clientConfig"]["service"]
    if (call["name"], call["namespace"]) != (service["metadata"]["name"], NAMESPACE):
        yield f"the webhook calls {call}"
    if call["path"] != "/mutate" or call["port"] != service["spec"]["ports"][0]["port"]:
        yield f"the webhook calls {call}"
    port = objects.container["ports"][0]
    probes = [objects.container[f"{p}Probe"]["httpGet"] for p in ("liveness", "readiness", "startup")]
    if {p["port"] for p in probes} | {service["spec"]["ports"][0]["targetPort"]} != {port["name"]}:
        yield "a port that is not there"
    if [p["path"] for p in probes] != ["/health/live", "/health/ready", "/health/ready"]:
        yield f"probes ask {probes}"
    if env["AGENT_INJECT_LISTEN"] != f":{port['containerPort']}":
        yield f"listens on {env['AGENT_INJECT_LISTEN']}"
    not_us = {"key": "app.kubernetes.io/name", "operator": "NotIn", "values": [labels["app.kubernetes.io/name"]]}
    if not_us not in hook["objectSelector"]["matchExpressions"]:
        yield "its own pods wait for themselves"
    accounts = {o["metadata"]["name"] for o in objects.of("ServiceAccount")} or {pod["serviceAccountName"]}
    accounts |= {s["name"] for kind in ("RoleBinding", "ClusterRoleBinding") for o in objects.of(kind) for s in o["subjects"]}
    if accounts != {pod["serviceAccountName"]}:
        yield f"service accounts {accounts}"
    drained = 3 + 15
    if pod["terminationGracePeriodSeconds"] <= drained:
        yield "killed while it drains"
    update = deployment["spec"]["strategy"]["rollingUpdate"]
    if update["maxUnavailable"] != 0 and not pod.get("hostNetwork"):
        yield "an upgrade takes a replica away"
    for policy in objects.of("NetworkPolicy"):
        if policy["spec"]["ingress"][0]["ports"][0]["port"] != port["containerPort"]:
            yield "the NetworkPolicy closes the port"


def names_are_allowed(objects):
    """Kubernetes takes less for the name of a Service than for others, and less for a label than for a name. A text that
    YAML reads as a number or truth is none."""
    for manifest in objects.all:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        label = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
        form = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?" if kind == "Service" else rf"{label}(\.{label})*"
        if not isinstance(name, str) or len(name) > 253 or not re.fullmatch(form, name):
            yield f"{kind} cannot be called {name}"
        if not isinstance(manifest["metadata"].get("namespace", ""), str):
            yield f"{kind} {name} has the namespace {manifest['metadata']['namespace']}"
        for key, value in manifest["metadata"].get("labels", {}).items():
            if not isinstance(value, str) or not re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value):
                yield f"{kind} {name} has the label {key}: {value}"


def has_what_its_certificate_needs(objects):
    """Permissions and a token for automatic certificates alone; the CA where it belongs."""
    configuration = objects.one("MutatingWebhookConfiguration")["metadata"]["name"]
    env, pod, hook = objects.env, objects.pod["spec"], objects.webhook
    service = objects.one("Service")["metadata"]["name"]
    host = f"{service}.{NAMESPACE}.svc"
    granted = {}
    for role in objects.of("ClusterRole") + objects.of("Role"):
        for rule in role["rules"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", ["*"]):
                    name = "NAME" if name == configuration and role["kind"] == "ClusterRole" else name
                    granted.setdefault((resource, name), set()).update(rule["verbs"])
    automatic = "AGENT_INJECT_TLS_AUTO" in env
    if granted != (PERMISSIONS if automatic else {}):
        yield f"permissions {granted}"
    bindings = len(objects.of("RoleBinding")) + len(objects.of("ClusterRoleBinding"))
    if bindings != (2 if automatic else 0) or pod["automountServiceAccountToken"] is not automatic:
        yield f"{bindings} bindings, token {pod['automountServiceAccountToken']}"
    if automatic:
        if env["AGENT_INJECT_TLS_AUTO"] != configuration:
            yield f"keeps the caBundle of {env['AGENT_INJECT_TLS_AUTO']}"
        if env["AGENT_INJECT_TLS_AUTO_HOSTS"].split(",") != [service, f"{service}.{NAMESPACE}", host]:
            yield f"a certificate for {env['AGENT_INJECT_TLS_AUTO_HOSTS']}"
        several = objects.one("Deployment")["spec"]["replicas"] > 1
        if env["AGENT_INJECT_USE_LEADER_ELECTOR"] != str(several).lower():
            yield "wrong election"
        if env["NAMESPACE"]["fieldRef"]["fieldPath"] != "metadata.namespace" or "POD_NAME" not in env:
            yield "does not know its pod"
        # An upgrade must not take away what the webhook wrote.
        if "caBundle" in hook["clientConfig"]:
            yield "renders a caBundle"
    else:
        folder = objects.container["volumeMounts"][0]["mountPath"]
        if [env[f"AGENT_INJECT_TLS_{f}_FILE"] for f in ("CERT", "KEY")] != [f"{folder}/tls.crt", f"{folder}/tls.key"]:
            yield "certificate files are not those of the volume"
    certificates = [c for c in objects.of("Certificate") if not c["spec"].get("isCA")]
    for certificate in certificates:
        spec, annotations = certificate["spec"], objects.one("MutatingWebhookConfiguration")["metadata"]["annotations"]
        if host not in spec["dnsNames"] or spec["secretName"] != pod["volumes"][0]["secret"]["secretName"]:
            yield f"certificate of {spec}"
        if annotations["cert-manager.io/inject-ca-from"] != f"{NAMESPACE}/{certificate['metadata']['name']}":
            yield f"annotations {annotations}"


def names_known_variables(objects):
    names = [e["name"] for e in objects.container["env"]]
    if len(names) != len(set(names)):
        yield f"twice in {names}"
    if unknown := [n for n in names if n.startswith("AGENT_INJECT_") and n not in known_options()]:
        yield f"unknown {unknown}"


CHECKS = [is_accepted_by_kubernetes, is_restricted, hangs_together, names_are_allowed,
          has_what_its_certificate_needs, names_known_variables]
