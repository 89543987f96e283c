#!/usr/bin/env python3
"""Checks everything that we hand to Kubernetes against its own strict schemas of the newest version.

usage: check.py [--binary PATH] [--recorded]

- Every pod of tests/golden/injector.jsonl that the running webhook changes, for both flavours of agent.
  A pod that was wrong before is left out with a note; `--recorded` looks at the recorded pods instead.
- Every manifest under deploy/ and examples/ that is plain YAML.

Needs kubernetes-validate in PYTHONPATH (tests/tools/kubernetes-validate prints it).
"""
import argparse, base64, http.client, json, os, socket, ssl, subprocess, sys, tempfile, time
from pathlib import Path

if {"-h", "--help"} & set(sys.argv[1:]):
    sys.exit(print(__doc__.strip()))

import yaml

from kube_schema import VERSION, complaint

ROOT = Path(__file__).resolve().parents[2]

# Images that make the webhook choose one flavour of agent or the other.
FLAVOURS = {"vault": "hashicorp/vault:2.0.4", "native": "registry.example/vault-injector:test"}
CHART = {
    "AGENT_INJECT_LOG_LEVEL": "error", "AGENT_INJECT_VAULT_ADDR": "http://vault.vault.svc:8200",
    "AGENT_INJECT_VAULT_AUTH_PATH": "auth/kubernetes", "AGENT_INJECT_LOG_FORMAT": "standard",
    "AGENT_INJECT_REVOKE_ON_SHUTDOWN": "false", "AGENT_INJECT_DEFAULT_TEMPLATE": "map",
    "AGENT_INJECT_CPU_REQUEST": "250m", "AGENT_INJECT_CPU_LIMIT": "500m",
    "AGENT_INJECT_MEM_REQUEST": "64Mi", "AGENT_INJECT_MEM_LIMIT": "128Mi",
    "AGENT_INJECT_TEMPLATE_CONFIG_EXIT_ON_RETRY_FAILURE": "true",
}


def patched(document, patch):
    """RFC 6902, the operations that a webhook needs."""
    document = json.loads(json.dumps(document))
    for step in patch:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        node = document
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node[part]
        if isinstance(node, list):
            at = len(node) if last == "-" else int(last)
            if step["op"] == "add":
                node.insert(at, step["value"])
            elif step["op"] == "replace":
                node[at] = step["value"]
            else:
                del node[at]
        elif step["op"] == "remove":
            del node[last]
        else:
            node[last] = step["value"]
    return document


class Webhook:
    """The webhook on a free port, with a certificate made for it."""

    def __init__(self, binary, image, folder):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             f"{folder}/tls.key", "-out", f"{folder}/tls.crt", "-days", "1", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        env = dict(CHART, AGENT_INJECT_VAULT_IMAGE=image, AGENT_INJECT_LISTEN=f"127.0.0.1:{port}",
                   AGENT_INJECT_TLS_CERT_FILE=f"{folder}/tls.crt", AGENT_INJECT_TLS_KEY_FILE=f"{folder}/tls.key")
        self.process = subprocess.Popen([binary, "webhook"], env=env)
        trust = ssl.create_default_context(cafile=f"{folder}/tls.crt")
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trust)
        for _ in range(200):
            try:
                self.connection.request("GET", "/health/ready")
                self.connection.getresponse().read()
                return
            except OSError:
                self.connection.close()
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        sys.exit("the webhook did not start")

    def mutate(self, review):
        """The pod after the webhook; None when it is denied or not touched."""
        self.connection.request("POST", "/mutate", json.dumps(review), {"Content-Type": "application/json"})
        answer = json.loads(self.connection.getresponse().read())["response"]
        if not answer.get("patch"):
            return None
        return patched(review["request"]["object"], json.loads(base64.b64decode(answer["patch"])))

    def stop(self):
        self.process.terminate()
        self.process.wait(15)


def mutated_pods(vectors, binary):
    """(name, pod) of every pod that the webhook changes."""
    for flavour, image in FLAVOURS.items():
        with tempfile.TemporaryDirectory() as folder:
            webhook = Webhook(binary, image, folder)
            try:
                for vector in vectors:
                    if vector.get("expect", {}).get("decision") == "inject":
                        yield vector, flavour, webhook.mutate(vector["request"])
            finally:
                webhook.stop()


def check_pods(args):
    """Counts of (right, wrong) pods."""
    path = ROOT / "tests/golden/injector.jsonl"
    if not path.exists():
        sys.exit(f"{path} is missing")
    vectors = [json.loads(line) for line in path.open()]
    if args.recorded:
        pods = ((v, "recorded", v["expect"].get("pod")) for v in vectors)
    else:
        pods = mutated_pods(vectors, args.binary)
    right, wrong, odd = 0, 0, set()
    for vector, flavour, pod in pods:
        if pod is None:
            continue
        why = complaint(dict(pod, apiVersion="v1", kind="Pod"))
        before = complaint(dict(vector["request"]["request"]["object"], apiVersion="v1", kind="Pod"))
        if before:
            odd.add(f"{vector['id']}: {before}")
        elif why:
            wrong += 1
            print(f"WRONG {vector['id']} ({flavour}): {why}")
        else:
            right += 1
    for line in sorted(odd):
        print(f"left out {line}")
    if right == 0:
        sys.exit("the webhook changed no pod at all")
    return right, wrong


def check_manifests():
    """Counts of (right, wrong) manifests under deploy/ and examples/."""
    right = wrong = 0
    for path in sorted([*ROOT.glob("deploy/**/*.y*ml"), *ROOT.glob("examples/**/*.y*ml")]):
        text = path.read_text()
        if "templates" in path.parts or path.name in ("Chart.yaml", "values.yaml"):
            continue
        for manifest in yaml.safe_load_all(text):
            if not isinstance(manifest, dict) or "kind" not in manifest or "apiVersion" not in manifest:
                continue
            why = complaint(manifest)
            if why:
                wrong += 1
                print(f"WRONG {path.relative_to(ROOT)} {manifest['kind']}: {why}")
            else:
                right += 1
    return right, wrong


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    args.add_argument("--binary", default=target / "debug/vault-injector")
    args.add_argument("--recorded", action="store_true")
    args = args.parse_args()
    pods, manifests = check_pods(args), check_manifests()
    print(f"Kubernetes {VERSION}: {pods[0]} pods and {manifests[0]} manifests are right")
    print(f"schemas: {pods[0] + manifests[0]} passed, {pods[1] + manifests[1]} failed")
    sys.exit(1 if pods[1] + manifests[1] else 0)


if __name__ == "__main__":
    main()
