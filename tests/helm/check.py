#!/usr/bin/env python3
"""Checks the Helm chart, the kustomize files and that both are the same.

usage: check.py [--binary PATH] [--kustomize LIBRARY]

Renders the chart with its defaults and with every file of tests/helm/values. UPDATE_DOCS=1 writes docs/helm-values.md.
Needs Helm and kubernetes-validate in PYTHONPATH: tests/tools/helm and tests/tools/kubernetes-validate print them,
tests/tools/kustomize prints LIBRARY.
"""
import argparse, itertools, json, os, re, subprocess, sys, tempfile
from pathlib import Path

if {"-h", "--help"} & set(sys.argv[1:]):
    sys.exit(print(__doc__.strip()))

import helm_python.chart
import promql_parser
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/schemas"))
# The parser itself; the package around it wants more packages for its command line.
sys.path.insert(0, str(Path(promql_parser.__file__).parents[1] / "cel"))
import cel

from kube_schema import complaint
from notes import check_notes
from objects import CHECKS, Objects, is_restricted, known_options
from odd_values import WHOLE, check_odd_values
from render import CHART, NAME, Refused, chart_objects, chart_texts, kustomize_objects

VALUES = CHART / "values.yaml"
# Variables that no value sets, with the reason.
WITHOUT_VALUE = {"AGENT_INJECT_TLS_CA_CERT_FILE": "certificate.caBundle is the same without permissions",
                 "AGENT_INJECT_SERVICE_ACCOUNT_DIR": "in pods it has its place; extraEnv sets another"}
# Variables whose default is another one in the chart.
OTHER_DEFAULT = {"AGENT_INJECT_LOG_FORMAT": "json", "AGENT_INJECT_TLS_AUTO": NAME, "AGENT_INJECT_USE_LEADER_ELECTOR": "true",
                 "AGENT_INJECT_TLS_AUTO_HOSTS": f"{NAME},{NAME}.{NAME},{NAME}.{NAME}.svc",
                 "AGENT_INJECT_VAULT_ADDR": "https://vault.vault.svc:8200"}
# What differs from the restricted level on purpose.
UNRESTRICTED = {"host-network.yaml": ["a namespace of the host"]}
# The oldest that the chart takes, the last without matchConditions, and the first with them.
OLD_VERSIONS = ["1.25.0", "1.27.0", "1.28.0"]
REFUSED = [
    ({"replicaCount": 3}, "additional properties 'replicaCount' not allowed"),
    ({"replicas": "3"}, "at '/replicas': got string, want integer"),
    ({"replicas": 0}, "at '/replicas': minimum: got 0, want 1"),
    ({"image": {"tags": "1"}}, "at '/image': additional properties 'tags' not allowed"),
    ({"image": {"digest": "sha256:1"}}, "at '/image/digest': 'sha256:1' does not match pattern"),
    ({"vault": {"address": "vault:8200"}}, "at '/vault/address': 'vault:8200' does not match pattern"),
    ({"vault": {"auth": {"minBackoff": "5"}}}, "at '/vault/auth/minBackoff': '5' does not match pattern"),
    ({"agent": {"flavor": "ours"}}, "at '/agent/flavor': value must be one of 'auto', 'native', 'vault'"),
    ({"agent": {"runAsUser": -1}}, "at '/agent/runAsUser': minimum: got -1, want 0"),
    ({"agent": {"resources": {"limits": {"memory": "64MB"}}}}, "at '/agent/resources/limits/memory': '64MB' does not match"),
    ({"agent": {"resources": {"limits": {"gpu": 1}}}}, "additional properties 'gpu' not allowed"),
    ({"agent": {"image": {"tag": "1"}}}, "agent.image has a tag or digest: name its repository as well"),
    ({"agent": {"image": {"repository": "hashicorp/vault"}}}, "agent.image.repository is hashicorp/vault: give agent.image.tag"),
    ({"agent": {"flavor": "vault"}}, "agent.flavor is vault, and the webhook's image has no agent of Vault"),
    ({"template": {"default": "yaml"}}, "at '/template/default': value must be one of 'map', 'json'"),
    ({"template": {"leaseRenewalThreshold": 90}}, "at '/template/leaseRenewalThreshold': maximum: got 90, want 1"),
    ({"template": {"staticSecretRenderInterval": "often"}}, "at '/template/staticSecretRenderInterval': 'often' does not"),
    ({"log": {"level": "verbose"}}, "at '/log/level': value must be one of"),
    ({"certificate": {"mode": "auto"}}, "at '/certificate/mode': value must be one of 'automatic', 'certManager', 'secret'"),
    ({"certificate": {"mode": "secret"}}, "certificate.mode is secret: name the Secret in certificate.secretName"),
    ({"certificate": {"caBundle": "TUlJ"}}, "certificate.caBundle is set but certificate.mode is automatic"),
    ({"certificate": {"caBundle": "-----BEGIN"}}, "at '/certificate/caBundle': '-----BEGIN' does not match pattern"),
    ({"tls": {"minVersion": "1.2"}}, "at '/tls/minVersion': value must be one of 'tls12', 'tls13'"),
    ({"webhook": {"failurePolicy": "ignore"}}, "at '/webhook/failurePolicy': value must be one of 'Ignore', 'Fail'"),
    ({"webhook": {"timeoutSeconds": 31}}, "at '/webhook/timeoutSeconds': maximum: got 31, want 30"),
    ({"webhook": {"objectSelector": {"app": "x"}}}, "at '/webhook/objectSelector': additional properties 'app' not allowed"),
    ({"metrics": {"enabled": False, "serviceMonitor": {"enabled": True}}}, "metrics.serviceMonitor.enabled needs metrics.enabled"),
    ({"vault": {"caCert": "-----BEGIN CERTIFICATE-----", "caCertFrom": {"name": "ca"}}}, "keep one"),
    ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "at '/podDisruptionBudget/maxUnavailable'"),
    ({"extraEnv": [{"nam": "A"}]}, "at '/extraEnv/0': missing property 'name'"),
    ({"podLabels": {"a": 1}}, "at '/podLabels/a': got number, want string"),
    ({"fullnameOverride": "a.b"}, "at '/fullnameOverride': 'a.b' does not match pattern"),
    ({"fullnameOverride": "1st"}, "at '/fullnameOverride': '1st' does not match pattern"),
    ({"fullnameOverride": "x" * 50}, "at '/fullnameOverride': maxLength: got 50, want 49"),
    ({"nameOverride": "a.b"}, "at '/nameOverride': 'a.b' does not match pattern"),
    ({"serviceAccount": {"name": "a..b"}}, "at '/serviceAccount/name': 'a..b' does not match pattern"),
    ({"image": {"repository": "registry.example/vault-injector:1.0"}}, "at '/image/repository': 'registry.example/vault-inj"),
    ({"image": {"repository": "https://registry.example/x"}}, "at '/image/repository': 'https://registry.example/x' does not"),
    ({"image": {"repository": ""}}, "at '/image/repository': '' does not match pattern"),
    ({"agent": {"image": {"repository": "vault:1", "tag": "1"}}}, "at '/agent/image/repository': 'vault:1' does not match"),
    ({"global": {"imageRegistry": "https://mirror.example"}}, "at '/global/imageRegistry': 'https://mirror.example' does not"),
    ({"global": {"imagePullSecrets": "login"}}, "at '/global/imagePullSecrets': got string, want array"),
    ({"template": {"leaseRenewalThreshold": "1.5"}}, "at '/template/leaseRenewalThreshold': '1.5' does not match pattern"),
    ({"template": {"leaseRenewalThreshold": ""}}, "at '/template/leaseRenewalThreshold': '' does not match pattern"),
    ({"strategy": {"type": "OnDelete"}}, "at '/strategy/type': value must be one of 'RollingUpdate', 'Recreate'"),
    ({"strategy": {"rollingUpdate": {"maxUnavailable": "half"}}}, "at '/strategy/rollingUpdate/maxUnavailable': 'half' does"),
]


def value_files():
    return sorted((ROOT / "tests/helm/values").glob("*.yaml"))


def cases():
    """(name, values) of everything that is rendered."""
    yield "defaults", {}
    for path in value_files():
        yield path.name, yaml.safe_load(path.read_text())


def leaves(tree, at=()):
    """Paths of all values; one that is empty is a leaf whatever it may hold."""
    if isinstance(tree, dict) and tree and not WHOLE & {".".join(at)}:
        for key, value in tree.items():
            yield from leaves(value, (*at, key))
    else:
        yield at, tree


def check_objects(binary):
    for name, values in cases():
        objects = Objects(chart_objects(values))
        for check in CHECKS:
            problems = list(check(objects))
            allowed = UNRESTRICTED.get(name, []) if check is is_restricted else []
            yield f"{name} {check.__name__}", [p for p in problems if p not in allowed]
        texts = chart_texts(values)
        odd = [path for path, text in texts.items() if re.search(r"<no value>|%!|<nil>", text)]
        yield f"{name} has no gaps", odd
        yield f"{name} is the same each time", [] if chart_texts(values) == texts else ["it differs"]
        # What the webhook itself says to these variables.
        env = {n: v for n, v in objects.env.items() if isinstance(v, str)}
        told = subprocess.run([binary, "inject", "-f", "-"], input=json.dumps(asking_pod()), env=env, text=True, capture_output=True)
        injected = told.returncode == 0 and "vault-agent" in told.stdout
        yield f"{name} is accepted by the webhook", [] if injected else [told.stderr or "not injected"]


def check_refusals():
    for values, text in REFUSED:
        try:
            chart_objects(values)
            yield f"refuses {values}", ["it was rendered"]
        except Refused as refused:
            yield f"refuses {values}", [] if text in str(refused) else [str(refused)]


def check_chart():
    """The chart as a whole."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    crate = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M).group(1)
    base = yaml.safe_load((ROOT / "deploy/kustomize/base/kustomization.yaml").read_text())
    deployment = (ROOT / "deploy/kustomize/base/deployment.yaml").read_text()
    versions = {chart["version"], chart["appVersion"], base["images"][0]["newTag"]}
    versions |= set(re.findall(r"vault-injector:(\d\S+)", deployment + (ROOT / "deploy/vault-helm-values.yaml").read_text()))
    versions |= set(re.findall(r'tag: "(.*)"', (ROOT / "deploy/vault-helm-values.yaml").read_text()))
    yield "versions are the crate's", [] if versions == {crate} else [f"{versions}, the crate is {crate}"]

    report = helm_python.chart.lint(CHART, {}, strict=True)
    yield "helm lint", report["errors"] + [m for m in report["messages"] if m["severity"] > 1]
    sources = "".join(path.read_text() for path in CHART.glob("templates/*"))
    impure = re.findall(r"\b(lookup|rand\w+|gen\w*Cert\w*|genCA\w*|genPrivateKey|uuidv4|now|getHostByName|helm\.sh/hook)\b", sources)
    yield "rendering depends on values alone", impure

    default, given = dict(leaves(yaml.safe_load(VALUES.read_text()))), set()
    for _, values in cases():
        given |= {at for at, value in leaves(values) if default.get(at, "") != value}
    missing = [".".join(at) for at in default if not any(g[:len(at)] == at for g in given)]
    yield "every value is tried", missing

    schema = json.loads((CHART / "values.schema.json").read_text())
    # Below `global` are other charts' values, too.
    open_objects = [at for at, node in nodes(schema)
                    if "properties" in node and node.get("additionalProperties") is not False and at != "/global"]
    yield "the schema refuses what it does not know", open_objects
    for version in OLD_VERSIONS:
        objects = chart_objects({}, kube_version=f"v{version}")
        problems = [f"{o['kind']}: {why}" for o in objects if (why := complaint(o, version))]
        yield f"Kubernetes {version} accepts the defaults", problems
        has = "matchConditions" in Objects(objects).webhook
        yield f"Kubernetes {version} and matchConditions", [] if has is (version == OLD_VERSIONS[-1]) else [f"{has}"]
    long = chart_objects({}, name="a-release-with-a-name-as-long-as-helm-lets-it-be-53ch")
    yield "long names fit", [o["metadata"]["name"] for o in long if len(o["metadata"]["name"]) > 63]


def nodes(schema, at=""):
    """All subschemas with their places."""
    yield at, schema
    for key in ("properties", "definitions"):
        for name, node in schema.get(key, {}).items():
            yield from nodes(node, f"{at}/{name}")
    if isinstance(schema.get("items"), dict):
        yield from nodes(schema["items"], f"{at}/-")


def asking_pod():
    """A pod that asks for agents."""
    container = {"name": "app", "image": "app", "securityContext": {"runAsUser": 1}}
    annotations = {"vault.hashicorp.com/agent-inject": "true", "vault.hashicorp.com/role": "app"}
    metadata = {"name": "app", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def check_reservations(binary):
    """What values.yaml says agents reserve where nobody says more."""
    text = VALUES.read_text()
    for flavor, image in (("native", "vault-injector:1"), ("vault", "hashicorp/vault:1")):
        env = {"AGENT_INJECT_VAULT_ADDR": "https://vault:8200", "AGENT_INJECT_VAULT_IMAGE": image}
        told = subprocess.run([binary, "inject", "-f", "-"], input=json.dumps(asking_pod()), env=env, text=True, capture_output=True)
        agent = next(c for c in json.loads(told.stdout)["spec"]["containers"] if c["name"] == "vault-agent")
        problems = []
        for words, kind, resource in (("CPU that each agent reserves", "requests", "cpu"), ("CPU limit", "limits", "cpu"),
                                      ("Memory that each agent reserves", "requests", "memory"), ("Memory limit", "limits", "memory")):
            said = re.search(rf"# {words}.*?if empty (\w+) \(native\) or (\w+) \(vault\)", text)
            want = said[1 if flavor == "native" else 2]
            have = agent["resources"].get(kind, {}).get(resource, "none")
            problems += [f"{kind} {resource}: {have}, values.yaml says {want}"] if have != want else []
        yield f"{flavor} agents reserve what values.yaml says", problems


def check_options():
    """Every option of the webhook has a value, and the same default."""
    known = known_options()
    set_somewhere = set(itertools.chain.from_iterable(Objects(chart_objects(values)).env for _, values in cases()))
    yield "every option has a value", sorted(set(known) - set_somewhere - set(WITHOUT_VALUE))
    env = Objects(chart_objects({})).env
    wrong = {n: v for n, v in env.items() if n in known and v != OTHER_DEFAULT.get(n, known[n])}
    yield "defaults are the webhook's", [f"{wrong}"] if wrong else []


def check_expressions():
    """CEL and PromQL."""
    asked = Objects(chart_objects({})).webhook["matchConditions"][0]["expression"]
    key = "vault.hashicorp.com/agent-inject"
    for annotations, want in [(None, False), ({}, False), ({key + "-secret-x": "y"}, False), ({key: "true"}, True),
                              ({key: "yes please"}, True), ({key: ""}, True)]:
        metadata = {} if annotations is None else {"annotations": annotations}
        got = cel.evaluate(asked, {"object": {"metadata": metadata}})
        yield f"a pod with {annotations} is asked about: {want}", [] if got is want else [f"{got}"]

    metrics = set(re.findall(r'"(vault_\w+)"', (ROOT / "src/telemetry/metrics.rs").read_text()))
    rules = Objects(chart_objects({"metrics": {"prometheusRule": {"enabled": True}}})).one("PrometheusRule")["spec"]["groups"][0]["rules"]
    yield "there are alerts", [] if len(rules) == 6 else [f"{len(rules)}"]
    for rule in rules:
        try:
            promql_parser.parse(rule["expr"])
            names = re.findall(r"\b(vault_\w+?)(?:_bucket|_count|_sum)?\{", rule["expr"])
            problems = [f"no metric {n}" for n in names if n not in metrics]
        except ValueError as error:
            problems = [f"{error} in {rule['expr']}"]
        if not {"summary", "description"} <= rule["annotations"].keys() or rule["labels"]["severity"] not in ("critical", "warning"):
            problems.append("lacks words")
        yield f"alert {rule['alert']}", problems


def alike(objects, chart):
    """Objects without what the two ways of installing write differently."""
    extra = {"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}
    known, result = known_options(), {}

    def clean(node):
        if isinstance(node, dict):
            # Labels that tell one release from others.
            return {k: clean(v) for k, v in node.items() if k not in extra}
        return [clean(v) for v in node] if isinstance(node, list) else node

    for manifest in objects:
        kind = manifest["kind"]
        # Helm makes no namespace, and the Secret is the user's.
        if kind in ("Namespace", "Secret"):
            assert not chart
            continue
        manifest = clean(manifest)
        if kind == "Deployment":
            container = manifest["spec"]["template"]["spec"]["containers"][0]
            # A variable that says the webhook's default says nothing; their order neither.
            container["env"] = {e["name"]: e for e in container["env"] if known.get(e["name"]) != e.get("value", "")}
        result[kind, manifest["metadata"]["name"]] = manifest
    return result


def difference(ours, theirs, at=""):
    """Where two values differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys(), key=str):
            yield from difference(ours.get(key), theirs.get(key), f"{at}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs)):
            yield from difference(*pair, f"{at}/{index}")
    elif ours != theirs:
        yield f"{at}: chart {ours!r}, kustomize {theirs!r}"


def check_kustomize(library):
    """kustomize makes the same objects as the chart, of each kind of certificate."""
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder, "overlay")
        subprocess.run([ROOT / "deploy/certificate", overlay], check=True, capture_output=True)
        own = kustomize_objects(library, overlay)
        bundle = Objects(own).webhook["clientConfig"]["caBundle"]
        secret = Objects(own).one("Secret")
        yield "the overlay has its certificate", [] if {"tls.crt", "tls.key"} == secret["data"].keys() else [f"{secret}"]
        ways = {
            "base": (kustomize_objects(library, ROOT / "deploy/kustomize/base"), {}),
            "cert-manager": (kustomize_objects(library, ROOT / "deploy/kustomize/cert-manager"), {"mode": "certManager"}),
            "certificate": (own, {"mode": "secret", "secretName": secret["metadata"]["name"], "caBundle": bundle}),
        }
        for name, (objects, certificate) in ways.items():
            chart = chart_objects({"certificate": certificate} if certificate else {})
            yield f"kustomize {name} is the chart", list(difference(alike(chart, True), alike(objects, False)))


def documented_values():
    """docs/helm-values.md, of values.yaml and its comments."""
    rows, waiting, parents = [], [], []
    for line in VALUES.read_text().splitlines():
        if not line.strip():
            waiting = []
        elif line.lstrip().startswith("#"):
            waiting.append(line.strip("# "))
        elif key := re.match(r"( *)([\w.-]+):", line):
            parents = [p for p in parents if p[0] < len(key[1])]
            words = " ".join(waiting) or next((p[2] for p in reversed(parents) if p[2]), "")
            parents.append((len(key[1]), key[2], " ".join(waiting)))
            rows.append((tuple(p[1] for p in parents), words))
            waiting = []
    told = dict(rows)
    text = ("<!-- Written by tests/helm/check.py: change deploy/helm/vault-injector/values.yaml. -->\n\n# Values of the chart\n\n"
            "An empty text leaves a setting to the webhook, and so does null, which is refused for what is no setting of the webhook.\n"
            "Unknown names and wrong types are refused.\n\n"
            "| value | default | what it says |\n|---|---|---|\n")
    default = yaml.safe_load(VALUES.read_text())
    silent = []
    for at, value in leaves(default):
        if not told.get(at):
            silent.append(".".join(at))
        words = told.get(at, "").replace("|", "\\|").replace("`- ", "`").replace("<", "&lt;")
        text += f"| `{'.'.join(at)}` | `{json.dumps(value, ensure_ascii=False)}` | {words} |\n"
    return text, silent


def check_vault_helm():
    """deploy/vault-helm-values.yaml names only values that HashiCorp's chart has, with all of its choices taken, too."""
    path = ROOT / "deploy/vault-helm-values.yaml"
    known = {tuple(v.split(".")) for v in json.loads((ROOT / "tests/it/vault_helm.json").read_text())["values"]}
    plain = [at for at, _ in leaves(yaml.safe_load(path.read_text()))]
    yield "vault-helm-values.yaml changes the image alone", [at for at in plain if at[:2] != ("injector", "image")]
    chosen = [at for at, _ in leaves(yaml.safe_load(path.read_text().replace("#~ ", "")))]
    unknown = [".".join(at) for at in chosen if not any(at[:n] in known for n in range(len(at) + 1))]
    yield "vault-helm-values.yaml has choices", [] if len(chosen) > 20 else [f"{chosen}"]
    yield "vault-helm-values.yaml names values of the chart", unknown

    # That chart's liveness probe asks for readiness, which comes at last after the grace.
    startup = json.loads((ROOT / "tests/it/vault_helm.json").read_text())["probes"]["startup"]
    patience = startup["initialDelaySeconds"] + startup["periodSeconds"] * startup["failureThreshold"]
    grace = re.search(r"pub const GRACE: Duration = Duration::from_secs\((\d+)\)", (ROOT / "src/domain/serving/replica.rs").read_text())
    document = (ROOT / "docs/install.md").read_text()
    told = re.search(r"A start has (\d+) s there, and the webhook is ready after (\d+) s at the\s+latest", document)
    right = grace and told and told.groups() == (str(patience), grace[1]) and int(grace[1]) * 2 <= patience
    yield "the webhook is ready before that chart's patience ends", [] if right else [f"{patience}, {grace}, {told}"]


def check_documents():
    text, silent = documented_values()
    path = ROOT / "docs/helm-values.md"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(text)
    have = path.read_text() if path.exists() else ""
    yield "every value has a comment", silent
    yield "docs/helm-values.md is values.yaml", [] if have == text else ["UPDATE_DOCS=1 writes it"]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    args.add_argument("--binary", default=target / "debug/vault-injector")
    args.add_argument("--kustomize", default="")
    args = args.parse_args()
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    checks = [check_objects(args.binary), check_refusals(), check_chart(), check_odd_values(list(cases()), leaves, version),
              check_notes(), check_reservations(args.binary), check_options(), check_expressions(), check_vault_helm(), check_documents()]
    if args.kustomize:
        checks.append(check_kustomize(args.kustomize))
    else:
        print("no kustomize for this machine: whether deploy/kustomize is the chart stays unknown")
    passed = failed = 0
    for name, problems in itertools.chain.from_iterable(checks):
        passed, failed = passed + (not problems), failed + bool(problems)
        for problem in problems:
            print(f"WRONG {name}: {problem}")
    print(f"helm: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
