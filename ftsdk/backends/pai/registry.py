"""Push ftsdk's image to the account's registry (ACR).

https://www.alibabacloud.com/help/en/acr/developer-reference/api-cr-2018-12-01-getauthorizationtoken,
https://www.alibabacloud.com/help/doc-detail/72334.htm.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ftsdk.backends import image, image_contents
from ftsdk.backends.pai import addresses
from ftsdk.backends.pai.service import AlibabaServices
from ftsdk.backends.shared import registry_login
from ftsdk.errors import AuthError

if TYPE_CHECKING:
    from ftsdk.backends.pai.options import PaiOptions

ENTERPRISE: Final = re.compile(r"(?P<name>[a-z0-9-]+)-registry(-vpc)?\.(?P<region>[a-z0-9-]+)\.cr\.aliyuncs\.com")
PERSONAL: Final = re.compile(r"registry(-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com")


def push(services: AlibabaServices, options: PaiOptions, tag: str, on_line: Callable[[str], None]) -> str:
    """Push a local image to where the option `image` says that jobs find it; returns that address.

    Raises NotInstalledError or UnavailableError without Docker, AuthError without a login.
    """
    address = addresses.needed(options.image, "image", "the address in ACR at which jobs find it")
    host, _, path = address.partition("/")
    from_here = host if options.network == "vpc" else re.sub(r"^(.*registry)-vpc\.", r"\1.", host)
    user, password = _login(services, options, from_here)
    image.login(from_here, user, password)
    image.push(tag, f"{from_here}/{path}", on_line=on_line)
    image_contents.remember(address, image.labels(tag))
    return address


def _login(services: AlibabaServices, options: PaiOptions, host: str) -> tuple[str, str]:
    """User and password: the user's own, else temporary ones that ACR creates for the account."""
    if options.image_auth:
        user, _, password = registry_login("pai", options.image_auth).partition(":")
        return user, password
    if match := ENTERPRISE.fullmatch(host):
        return _enterprise_login(services, addresses.acr_endpoint(options, match["region"]), match["name"])
    if match := PERSONAL.fullmatch(host):
        response = services.generic(
            addresses.acr_endpoint(options, match["region"]), "GetAuthorizationToken", "2016-06-07", style="ROA",
            path="/tokens",
        )["data"]  # fmt: skip
        return str(response["tempUserName"]), str(response["authorizationToken"])
    raise AuthError(
        f"{host} gives no temporary logins by an API that ftsdk supports: name a variable with USER:PW by "
        f"-o image_auth=VARIABLE, or run `docker login {host}` and `ftsdk image push {options.image}`."
    )


def _enterprise_login(services: AlibabaServices, endpoint: str, name: str) -> tuple[str, str]:
    version = "2018-12-01"
    listing = services.generic(endpoint, "ListInstance", version, style="RPC", query={"InstanceName": name})
    number = next((one["InstanceId"] for one in listing["Instances"] if one["InstanceName"] == name), None)
    if number is None:
        raise AuthError(f"The account has no ACR instance '{name}' in that region: check the option image.")
    response = services.generic(endpoint, "GetAuthorizationToken", version, style="RPC", query={"InstanceId": number})
    return str(response["TempUsername"]), str(response["AuthorizationToken"])
