"""Rendering: the chart by Helm, deploy/kustomize by kustomize, both as libraries that need no cluster."""
import ctypes, json
from pathlib import Path

import yaml
from helm_python import Chart, _native
from helm_python.errors import HelmError

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/vault-injector"
NAME = NAMESPACE = "vault-injector"
# The one in C, where there is one: much is rendered.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Refused(Exception):
    """Helm does not render with these values; says why."""


def chart_texts(values, kube_version=None, name=NAME, namespace=NAMESPACE):
    """The chart's files as Helm renders them, by name."""
    options = {"name": name, "namespace": namespace}
    if kube_version:
        options["kube_version"] = kube_version
    with Chart.load(CHART) as chart:
        try:
            # Chart.render knows no kube_version, the library under it does.
            text = _native.call_string("helm_render", chart._raw(), json.dumps(values), json.dumps(options))
        except HelmError as error:
            raise Refused(str(error)) from None
    return {Path(path).name: text for path, text in json.loads(text).items()}


def chart_objects(values, **options):
    """The objects that Helm would hand to Kubernetes."""
    texts = chart_texts(values, **options)
    texts.pop("NOTES.txt")
    return [manifest for text in texts.values() for manifest in yaml.load_all(text, Loader=LOADER) if manifest]


def kustomize_objects(library, folder):
    """The objects of `kubectl apply -k FOLDER`."""
    kustomize = ctypes.CDLL(library)
    kustomize.pykustomize_last_error.restype = ctypes.c_void_p
    result = ctypes.c_void_p()
    failed = kustomize.pykustomize_build_to_json(str(folder).encode(), b"{}", ctypes.byref(result))
    text = ctypes.string_at(kustomize.pykustomize_last_error() if failed else result.value).decode()
    if failed:
        raise Refused(text)
    return json.loads(text)["resources"]
