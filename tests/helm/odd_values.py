"""What must hold of values that few people write: null, fractions as text, odd names, registries of an umbrella chart."""
import copy, json, re

import yaml

from kube_schema import complaint
from objects import Objects, names_are_allowed
from render import CHART, Refused, chart_objects, chart_texts

SCHEMA = CHART / "values.schema.json"
# Values that Kubernetes defines: each is one.
WHOLE = {"podSecurityContext", "resources"}
# What Helm lets a release be called, and Kubernetes perhaps no Service.
RELEASES = ["a.b", "a.b.c-d", "1st", "0", "a-release-with-a-name-as-long-as-helm-lets-it-be-53ch", "x" * 48 + ".a", "x" * 47 + "-.a"]
OWN = {"image": {"repository": "registry.example/own/vault-injector"}}
# (values, image of the webhook, image of the agents, pull secrets, whether agents are native whatever a pod's image is)
IMAGES = [
    ({}, "vault-injector:0.1.0", None, [], False),
    (OWN, "registry.example/own/vault-injector:0.1.0", None, [], False),
    ({"global": {"imageRegistry": "mirror.example:5000/a"}}, "mirror.example:5000/a/vault-injector:0.1.0", None, [], False),
    ({"global": {"imageRegistry": "mirror.example"}} | OWN, "registry.example/own/vault-injector:0.1.0", None, [], False),
    ({"global": {"imageRegistry": "mirror.example"}, "image": {"repository": "localhost/x"}}, "localhost/x:0.1.0", None, [], True),
    ({"global": {"imageRegistry": "mirror.example"}, "image": {"repository": "team/x"}}, "mirror.example/team/x:0.1.0", None, [], True),
    ({"global": {"imageRegistry": "mirror.example"}, "agent": {"image": {"repository": "hashicorp/vault", "tag": "2"}}},
     "mirror.example/vault-injector:0.1.0", "mirror.example/hashicorp/vault:2", [], False),
    ({"image": {"repository": "x"}, "agent": {"flavor": "native"}}, "x:0.1.0", None, [], True),
    ({"image": {"repository": "team/my-vault-injector"}}, "team/my-vault-injector:0.1.0", None, [], True),
    ({"global": {"imagePullSecrets": ["a", {"name": "b"}]}, "imagePullSecrets": [{"name": "b"}, {"name": "c"}]},
     "vault-injector:0.1.0", None, ["a", "b", "c"], False),
]


def set_at(values, at, value):
    """A copy of nested values with another one at a path."""
    values = copy.deepcopy(values)
    node = values
    for key in at[:-1]:
        node = node.setdefault(key, {})
    node[at[-1]] = value
    return values


def without(values, at):
    """A copy of nested values without a path."""
    values = copy.deepcopy(values)
    node = values
    for key in at[:-1]:
        node = node.get(key, {})
    node.pop(at[-1], None)
    return values


def paths(tree, at=()):
    """All paths of nested values, also of those that hold others."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield (*at, key)
        if key not in WHOLE:
            yield from paths(value, (*at, key))


def nulls(node):
    """Whether there is a null anywhere in an object."""
    if isinstance(node, (dict, list)):
        return any(nulls(n) for n in (node.values() if isinstance(node, dict) else node))
    return node is None


def rendered(values):
    """The objects, or why there are none."""
    try:
        return Objects(chart_objects(values)), ""
    except Refused as refused:
        return None, str(refused)


def beside_env(objects):
    """The objects without the webhook's variables."""
    objects = copy.deepcopy(objects)
    del objects.container["env"]
    return objects.all


def check_null(cases, default):
    """Null is refused in words, or it leaves an option to the webhook; it never becomes another value."""
    for name, values in cases:
        usual = Objects(chart_objects(values))
        problems = []
        for at in paths(default):
            where = ".".join(at)
            got, why = rendered(set_at(values, at, None))
            if not got:
                if not re.search(r"missing propert|^execution error at \S+ [a-z]", why):
                    problems.append(f"{where}: {why}")
                continue
            odd = {n: v for n, v in got.env.items() if v != usual.env.get(n)}
            changed = beside_env(got) != beside_env(usual) and at[0] not in WHOLE
            if (odd or changed) and (also := rendered(without(values, at))[0]):
                odd = {n: v for n, v in odd.items() if v != also.env.get(n)}
                changed = changed and beside_env(got) != beside_env(also)
            if odd or changed or nulls(got.all) or any(re.search(r"<nil>|<no value>", str(o)) for o in got.all):
                problems.append(f"{where}: {odd or 'a gap'}")
        yield f"{name} with null", problems


def check_effect(cases, default, leaves):
    """Each value changes something: nothing is accepted and ignored."""
    effective, usual = set(), dict(leaves(default))
    for _, values in cases:
        texts = chart_texts(values)
        for at, value in leaves(values):
            if not at or usual.get(at, "") == value or at in effective:
                continue
            try:
                changed = chart_texts(without(values, at)) != texts
            except Refused:
                changed = True
            if changed:
                effective |= {at[:n] for n in range(1, len(at) + 1)}
    yield "every value has an effect", [".".join(at) for at in usual if at not in effective]


def check_schema(default):
    """The schema knows the values that there are, and takes fractions as --set writes them."""
    schema = json.loads(SCHEMA.read_text())

    def unlike(node, values, at=""):
        known = node.get("properties")
        if known and isinstance(values, dict) and values:
            yield from (f"{at}/{key}" for key in known.keys() ^ values.keys())
            for key in known.keys() & values.keys():
                yield from unlike(known[key], values[key], f"{at}/{key}")

    yield "the schema knows exactly the values", list(unlike(schema, default))
    fractions = [line.strip() for line in SCHEMA.read_text().splitlines() if re.search(r'"type": ("number"|\["number"\])', line)]
    yield "fractions may be text, as --set makes them", fractions
    for text in ("0.7", "0", "1", ".5", "1.0", "0.75"):
        env = Objects(chart_objects({"template": {"leaseRenewalThreshold": text}})).env
        told = env["AGENT_INJECT_TEMPLATE_LEASE_RENEWAL_THRESHOLD"]
        yield f"a threshold of {text}", [] if told == text else [told]
    for number in (1000660000, 134217728):
        values = {"agent": {"runAsUser": number, "resources": {"limits": {"memory": number}}}}
        env = Objects(chart_objects(values)).env
        told = {env["AGENT_INJECT_RUN_AS_USER"], env["AGENT_INJECT_MEM_LIMIT"]}
        yield f"the whole number {number}", [] if told == {str(number)} else [f"{told}"]


def check_names():
    """Whatever a release is called: its objects get names that Kubernetes takes, or Helm says which value mends it."""
    for release in RELEASES:
        for values in ({}, {"nameOverride": "x"}, {"certificate": {"mode": "certManager"}}):
            try:
                problems = list(names_are_allowed(Objects(chart_objects(values, name=release))))
            except Refused as refused:
                problems = [] if "set fullnameOverride" in str(refused) else [str(refused)]
            yield f"release {release} with {values}", problems
        values = {"fullnameOverride": "fine-name"}
        yield f"release {release} with another name", list(names_are_allowed(Objects(chart_objects(values, name=release))))
    for word in ("true", "null", "no", "e1"):
        certificate = {"mode": "secret", "secretName": word}
        values = {"fullnameOverride": word, "nameOverride": word, "serviceAccount": {"name": word}, "priorityClassName": word,
                  "imagePullSecrets": [{"name": word}], "certificate": certificate, "podLabels": {"a": word}}
        objects = chart_objects(values, namespace="1234")
        problems = [f"{o['kind']}: {why}" for o in objects if (why := complaint(o))]
        yield f"the name {word} in a namespace 1234", problems + list(names_are_allowed(Objects(objects)))


def check_images(version):
    for values, image, agents, secrets, forced in IMAGES:
        objects = Objects(chart_objects(values))
        image, agents = (i and i.replace("0.1.0", version) for i in (image, agents))
        env, pod = objects.env, objects.pod["spec"]
        got = (objects.container["image"], env["AGENT_INJECT_VAULT_IMAGE"], [s["name"] for s in pod.get("imagePullSecrets", [])])
        want = (image, agents or image, secrets)
        flavor = env.get("AGENT_INJECT_AGENT", "auto")
        # A pod that names an image of Vault would get arguments that this one does not know.
        wrong = [] if (flavor == "native") is forced else [f"flavour {flavor}"]
        yield f"images with {values}", ([] if got == want else [f"{got}"]) + wrong


def check_strategy():
    """An upgrade ends on as many nodes as replicas, and keeps one replica where it can."""
    for replicas, host, unavailable in [(1, False, 0), (2, False, 0), (1, True, 0), (2, True, 1), (3, True, 1)]:
        objects = Objects(chart_objects({"replicas": replicas, "hostNetwork": host, "port": 9443}))
        update = objects.one("Deployment")["spec"]["strategy"]["rollingUpdate"]
        right = update == {"maxUnavailable": unavailable, "maxSurge": 1 - unavailable}
        yield f"{replicas} replicas, hostNetwork {host}", [] if right else [f"{update}"]
    chosen = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%", "maxSurge": 0}}
    objects = Objects(chart_objects({"strategy": chosen, "hostNetwork": True}))
    got = objects.one("Deployment")["spec"]["strategy"]
    yield "a strategy of one's own", [] if got == chosen else [f"{got}"]


def check_odd_values(cases, leaves, version):
    default = yaml.safe_load((CHART / "values.yaml").read_text())
    yield from check_null(cases, default)
    yield from check_effect(cases, default, leaves)
    yield from check_schema(default)
    yield from check_names()
    yield from check_images(version)
    yield from check_strategy()
