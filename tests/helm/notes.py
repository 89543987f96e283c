"""NOTES.txt: what a person is told to type fits the values."""
import itertools, re

import yaml

from render import ROOT, chart_texts

TYPES = ["kubernetes", "jwt", "approle", "token_file", "aws", "cert"]
# (vault.auth.path, mount, namespace in it); without a mount it is no path of a login.
PATHS = [("auth/kubernetes", "kubernetes", ""), ("auth/prod", "prod", ""), ("/auth/a/b/", "a/b", ""),
         ("team/auth/prod", "prod", "team"), ("prod", None, ""), ("auth", None, "")]
# Words that only commands of one method have.
ONLY = {"kubernetes": ["kubernetes_host=", "bound_service_account_names="], "jwt": ["role_type=jwt", "oidc_discovery_url="],
        "approle": ["token_policies=", "auth-config-role-id-file-path"], "token_file": ["auth-config-token-file-path"]}
# (repository, registry for all charts, whether nodes find it nowhere)
IMAGES = [("vault-injector", "", True), ("team/vault-injector", "", True), ("vault-injector", "mirror.example", False),
          ("registry.example/vault-injector", "", False), ("localhost/x", "", False), ("registry:5000/x", "", False)]


def notes(values):
    return chart_texts(values)["NOTES.txt"]


def wrong_commands(text, kind, mount, namespace):
    """What is wrong with the commands for Vault."""
    commands = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip().startswith("vault ")]
    if kind == "token_file" or not mount:
        yield from (f"{c}: of no use" for c in commands)
        return
    if [c for c in commands if c.startswith("vault auth ")] != [f"vault auth enable -path={mount} {kind}"]:
        yield f"enables something else: {commands}"
    for command in commands:
        if (path := re.match(r"vault write (\S+)", command)) and path[1] not in (f"auth/{mount}/config", f"auth/{mount}/role/app"):
            yield f"{command}: another path"
    if re.findall(r"export VAULT_NAMESPACE=(\S+)", text) != ([namespace] if namespace else []):
        yield "another namespace"
    if any("policies=app" in c for c in commands) and not any(c.startswith("vault policy write app ") for c in commands):
        yield "a policy that nobody wrote"


def check_notes():
    for kind, (path, mount, inner), outer in itertools.product(TYPES, PATHS, ["", "outer"]):
        text = notes({"vault": {"auth": {"type": kind, "path": path}, "namespace": outer}})
        problems = list(wrong_commands(text, kind, mount, "/".join(n for n in (outer, inner) if n)))
        told = kind == "token_file" or mount is not None
        for method, words in ONLY.items():
            wrong = [w for w in words if (w in text) is not (told and method == kind)]
            problems += [f"{w} of {method}" for w in wrong]
        if not told and f"vault.auth.path=auth/{path}" not in text:
            problems.append("does not say what is wrong with the path")
        if kind in ("aws", "cert") and told and f"for {kind} they have to be of Vault" not in text:
            problems.append("does not say that native agents cannot do it")
        yield f"notes on {kind} at {path} in {outer!r}", problems
    vault = {"agent": {"image": {"repository": "hashicorp/vault", "tag": "2"}, "flavor": "vault"}, "vault": {"auth": {"type": "aws"}}}
    yield "notes on aws with agents of Vault", ["warns"] if "have to be of Vault" in notes(vault) else []
    for repository, registry, nowhere in IMAGES:
        text = notes({"image": {"repository": repository}, "global": {"imageRegistry": registry}})
        yield f"notes on {repository} of {registry!r}", [] if ("WARNING: image.repository" in text) is nowhere else [text]
    for address, vault, clear, public in [
            ("https://v:8200", {}, False, True), ("HTTPS://v:8200", {}, False, True), ("http://v:8200", {}, True, False),
            ("https://v:8200", {"caCert": "-----BEGIN CERTIFICATE-----"}, False, False),
            ("https://v:8200", {"caCertFrom": {"name": "ca"}}, False, False), ("unix:///v", {}, False, False)]:
        text = notes({"vault": {"address": address} | vault})
        right = ("in clear" in text) is clear and ("public CAs alone" in text) is public
        yield f"notes on {address} with {vault}", [] if right else [text]
    for document in ("README.md", "docs/install.md"):
        commands = re.findall(r"(?m)^helm upgrade --install .*", (ROOT / document).read_text().replace("\\\n", " "))
        for command in commands:
            values = {}
            for path, value in re.findall(r"--set ([\w.]+)=(\S+)", command):
                *parents, last = path.split(".")
                node = values
                for key in parents:
                    node = node.setdefault(key, {})
                node[last] = yaml.safe_load(value)
            yield f"{document}: {values} warn of nothing", ["WARNING"] if "WARNING" in notes(values) else []
        yield f"{document} installs the chart", [] if commands else ["it does not"]
    wide = [line for line in notes({}).splitlines() if len(line) > 120]
    yield "notes fit a screen", wide
