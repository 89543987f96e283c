"""What documents say that a program can compare: links, paths, log lines, metrics, figures, commands."""
import json, re, subprocess, tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
CHART = ROOT / "deploy/helm/vault-injector"
# (document, sentence with figures, what the sources say of each: file and constant with its figure).
FIGURES = [
    ("docs/operations.md", r"serves for (\d+) s more",
     [("src/run/limits.rs", r"LAME_DUCK: Duration = Duration::from_secs\((\d+)\)")]),
    ("docs/operations.md", r"Both files are looked at every (\d+) s",
     [("src/run/limits.rs", r"CERTIFICATE_LOOK: Duration = Duration::from_secs\((\d+)\)")]),
    ("docs/operations.md", r"signs when it has been in the `caBundle` for (\d+) minutes",
     [("src/domain/serving/ca.rs", r"SETTLE: Duration = Duration::from_mins\((\d+)\)")]),
    ("docs/operations.md", r"once seen in the `caBundle`, at most (\d+) s",
     [("src/domain/serving/replica.rs", r"pub const GRACE: Duration = Duration::from_secs\((\d+)\)")]),
    ("docs/operations.md", r"tried again for ever, half a second to a (minute) apart",
     [("src/domain/serving/pace.rs", r"FIRST: Duration = Duration::from_millis\(500\);\n.*\nconst LONGEST: Duration = Duration::from_(min)s\(1\)")]),
    ("docs/operations.md", r"the revocation, which gets (\d+) s",
     [("src/domain/schedule/machine.rs", r"REVOCATION_MAX: Duration = Duration::from_secs\((\d+)\)")]),
    ("docs/operations.md", r"(\d),000 \*\*namespaces\*\* are told apart",
     [("src/run/limits.rs", r"METRIC_NAMESPACES_MAX: usize = (\d)000;")]),
    ("docs/operations.md", r"each after a random wait of (\d+) ms to (\d+) min",
     [("src/domain/schedule/pace.rs", r"RETRY_MIN: Duration = Duration::from_millis\((\d+)\)"),
      ("src/run/agent/mod.rs", r"max: Duration::from_mins\((\d+)\)")]),
    ("docs/operations.md", r"it tries again, (\d+) s to (\d+) min apart",
     [("src/domain/schedule/machine.rs", r"FILES_RETRY: Backoff = Backoff \{ min: Duration::from_secs\((\d+)\)"),
      ("src/domain/schedule/machine.rs", r"FILES_RETRY: .*max: Duration::from_mins\((\d+)\)")]),
    ("README.md", r"a configuration of more than (\d+) KiB",
     [("src/domain/inject/container.rs", r"VARIABLE_BYTES_MAX: usize = (\d+) \* 1024")]),
]

# Messages in README.md that are others': Vault's, rustls'.
FOREIGN_WORDS = ["invalid role name", "HTTP 403: permission denied", "invalid peer certificate: UnknownIssuer"]
# Rows of the exit codes in docs/operations.md: (command, variables, code).
EXIT_CODES = [
    ("inject -f pod.yaml --vault-address https://vault:8200", {}, 0),
    ("inject -f none.yaml", {}, 1),
    ("inject -f pod.yaml", {}, 1),
    ("inject --no-such-flag", {}, 2),
    ("inject -f pod.yaml", {"AGENT_INJECT_RUN_AS_USER": "x"}, 2),
    ("render --data canned.json my.tpl", {}, 0),
    ("render --data canned.json wrong.tpl", {}, 1),
    ("render --secret secret/db", {"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "x"}, 1),
    ("render --data canned.json --secret secret/none", {}, 1),
    ("render --data canned.json lacks.tpl", {}, 0),
    ("render --data canned.json none.tpl", {}, 2),
    ("render --data wrong.tpl my.tpl", {}, 2),
    ("render --no-such-flag", {}, 2),
    ("webhook --no-such-flag", {"AGENT_INJECT_VAULT_ADDR": "https://vault:8200"}, 2),
    ("webhook", {"AGENT_INJECT_VAULT_ADDR": "https://vault:8200", "AGENT_INJECT_LOG_LEVEL": "loud"}, 2),
    ("webhook", {"AGENT_INJECT_VAULT_ADDR": "https://vault:8200", "AGENT_INJECT_LISTEN": "127.0.0.1:0",
                 "AGENT_INJECT_TLS_CERT_FILE": "none", "AGENT_INJECT_TLS_KEY_FILE": "none"}, 1),
    ("agent-init", {}, 2),
    ("agent-sidecar -config=none", {}, 2),
    ("agent-init -config=wrong.tpl", {}, 2),
    ("version --no-such-flag", {}, 2),
]


def anchors(path):
    heads = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def check_links():
    for path in DOCUMENTS:
        wrong = []
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            target, _, anchor = link.partition("#")
            place = path.parent / target if target else path
            if "://" in link:
                continue
            if not place.exists() or (anchor and anchor not in anchors(place)):
                wrong.append(link)
        yield f"links of {path.name}", wrong
        # Paths of the repository, in text and in commands; words with capitals or dots stand for something.
        named = re.findall(r"(?<![\w/.-])((?:deploy|docs|examples|tests|src)/[a-z][\w./-]*)", path.read_text())
        yield f"paths in {path.name}", [name for name in named if not (ROOT / name.rstrip(".")).exists()]


def rows(text, title):
    """First cells of the table below a headline."""
    section = re.split(rf"(?m)^## {title}$", text)[1].split("\n## ")[0]
    return [line.split(" | ")[0].strip("| ") for line in section.splitlines() if line.startswith("| ")][1:]


def check_operations():
    """Every line of the log and every metric that is explained exists; that none is left out, `cargo test` looks at."""
    text = (ROOT / "docs/operations.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    # A message may go on behind the end of a line.
    sources = re.sub(r"\\\n\s*", "", sources)
    for title in ("What the webhook logs", "What agents log"):
        lines = [line.strip("`") for cell in rows(text, title) for line in re.findall(r"`[^`]+`", cell)]
        lost = [line for line in lines if f'"{line.removesuffix("…")}' not in sources and line.removesuffix("…") not in sources]
        yield f"{title}: the lines exist", lost if len(lines) > 10 else [f"{lines}"]
    metrics = [name for cell in rows(text, "Metrics") for name in re.findall(r"`(\w+)`", cell)]
    yield "the metrics exist", [name for name in metrics if f'"{name}"' not in sources] if len(metrics) > 20 else [f"{metrics}"]


def check_messages():
    """Messages that README.md explains exist: three words in a row are in the sources, the rest may be values."""
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    told = [word for cell in rows((ROOT / "README.md").read_text(), "When it does not work") for word in re.findall(r"`([^`]+)`", cell)]

    def exists(message):
        words = message.split()
        return any(" ".join(words[at:at + 3]) in sources for at in range(max(len(words) - 2, 1)))

    lost = [m for m in told if not exists(m) and not any(w in m for w in FOREIGN_WORDS)]
    yield "README.md's messages exist", lost if len(told) > 5 else [f"{told}"]


def check_figures():
    for document, sentence, constants in FIGURES:
        told = re.search(sentence.replace(" ", r"\s+"), (ROOT / document).read_text())
        have = [re.search(constant, (ROOT / source).read_text()) for source, constant in constants]
        right = told and all(have) and [h[1] for h in have] == [t.removesuffix("ute") for t in told.groups()]
        yield f"{document}: {sentence}", [] if right else [f"document {told and told.groups()}, sources {[h and h[1] for h in have]}"]


def commands():
    """(document, command) of the program in fenced blocks, without comments."""
    for path in DOCUMENTS:
        for block in re.findall(r"(?ms)^```sh\n(.*?)^```", path.read_text()):
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                if "vault-injector " in line and re.match(r"(echo .*\| *)?vault-injector ", line):
                    yield path, re.sub(r"\s+#.*$", "", line)


def check_commands(binary):
    """Commands of the documents do what they say: the exit code is 0. What needs a server or does not end is only asked
    whether the flags exist."""
    found = list(commands())
    yield "documents show commands", [] if len(found) >= 5 else [f"{found}"]
    annotations = {"vault.hashicorp.com/agent-inject": "true", "vault.hashicorp.com/role": "app"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": annotations}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "wrong.tpl").write_text("{{ with")
        (home / "lacks.tpl").write_text('{{ with secret "secret/none" }}{{ end }}')
        for name in ("pod.yaml", "deployment.yaml", "more.json", "manifests/one.yaml"):
            (home / name).parent.mkdir(exist_ok=True)
            (home / name).write_text(json.dumps(pod))
        (home / "my.tpl").write_text('{{ with secret "secret/db" }}{{ .Data.data.password }}{{ end }}')
        canned = re.search(r"(?m)^echo '(.*)' > canned\.json$", (ROOT / "README.md").read_text())
        (home / "canned.json").write_text(canned[1])
        env = {"PATH": f"{Path(binary).resolve().parent}:/usr/bin:/bin", "HOME": folder}
        for path, command in found:
            if "--watch" in command or ("render --secret" in command and "--data" not in command):
                help_text = subprocess.run([binary, "render", "--help"], text=True, capture_output=True).stdout
                problems = [flag for flag in re.findall(r" (--[a-z-]+)", command) if flag not in help_text]
            else:
                told = subprocess.run(["sh", "-c", command], cwd=folder, env=env, text=True, capture_output=True, timeout=60)
                problems = [] if told.returncode == 0 and told.stdout else [f"{told.returncode} {told.stdout} {told.stderr}"]
            yield f"{path.name}: {command}", problems
        for command, variables, code in EXIT_CODES:
            told = subprocess.run([binary, *command.split()], cwd=folder, env=env | variables, text=True, capture_output=True, timeout=60)
            problems = [] if told.returncode == code else [f"{told.returncode}: {told.stdout} {told.stderr}"]
            yield f"{command} {variables or ''} ends with {code}", problems


def check_examples(binary):
    """Manifests that people start from are injected without a word, and name what the README names."""
    for name in ("examples/deployment.yaml", "deploy/example/workload.yaml"):
        told = subprocess.run([binary, "inject", "-f", ROOT / name, "--vault-address", "https://vault.example.com:8200"], text=True, capture_output=True)
        right = told.returncode == 0 and "vault-agent-init" in told.stdout and not told.stderr
        yield f"{name} is injected", [] if right else [told.stderr or told.stdout]


def check_tables():
    """Lists of install.md that the chart decides."""
    text = (ROOT / "docs/install.md").read_text()
    modes = json.loads((CHART / "values.schema.json").read_text())["properties"]["certificate"]["properties"]["mode"]["enum"]
    told = [cell.strip("`") for cell in rows(text, "The chart") if cell.startswith("`")]
    yield "install.md names the modes of certificates", [] if told == modes else [f"{told}, not {modes}"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    named = {m for path in DOCUMENTS for m in re.findall(r"(?:`|--set )((?:[a-z]+[A-Za-z]*\.)+[a-zA-Z]+)=", path.read_text())}
    # Those of the official charts begin with `injector`; other dotted words are no values.
    named = {name for name in named if name.split(".")[0] in values}
    lost = []
    for name in sorted(named):
        node = values
        for key in name.split("."):
            # An empty object may hold what Kubernetes defines.
            node = {} if node == {} else node.get(key) if isinstance(node, dict) else None
        if node is None:
            lost.append(name)
    yield "values that documents set are the chart's", lost if len(named) > 5 else [f"{named}"]
    alerts = re.findall(r"(?m)^- alert: (\w+)$", (CHART / "templates/_helpers.tpl").read_text())
    sentence = re.search(r"The\s+alerts: (.*?)\.\n", text, re.S)
    yield "install.md counts the alerts", [] if sentence and sentence[1].count(",") + 1 == len(alerts) else [f"{alerts}"]


def check_documents(binary):
    yield from check_links()
    yield from check_operations()
    yield from check_messages()
    yield from check_figures()
    yield from check_tables()
    yield from check_examples(binary)
    yield from check_commands(binary)
