"""What Kubernetes itself says to a manifest, by its strict schemas."""
import functools

import jsonschema
from kubernetes_validate import utils

utils.schema_contents = functools.cache(utils.schema_contents)
VERSION = utils.latest_version()


def complaint(manifest, version=VERSION):
    """Why Kubernetes would refuse this manifest; empty when it would not, or when it is none of its own kinds."""
    try:
        utils.validate(manifest, version, strict=True)
    except jsonschema.ValidationError as error:
        return f"{'.'.join(str(part) for part in error.path)}: {error.message[:300]}"
    except utils.SchemaNotFoundError:
        print(f"no schema for {manifest['apiVersion']} {manifest['kind']}, which is not part of Kubernetes")
    return ""
