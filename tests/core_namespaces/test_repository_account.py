"""``client.repository``: the account, and LM Link, against a scripted server, sync and async."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from patience import outlast_the_timeout

import lmstudio_core as lms
from lmstudio_core.errors import LMStudioValueError

# -- account -------------------------------------------------------------------------------------


def test_who_is_logged_in(api: Any, server: Any) -> None:
    repository = api.client.repository
    server.on("repository.isAuthenticated", {"authenticated": True})
    assert api(repository.is_authenticated()) is True
    user = {"type": "loggedInUser", "userName": "ada"}
    server.on("repository.getAuthenticationStatus", {"authenticationStatus": user})
    status = api(repository.get_authentication_status())
    assert (status.type, status.user_name, status.owner_username) == ("loggedInUser", "ada", None)
    server.on("repository.deauthenticate")
    assert api(repository.deauthenticate()) is None


def test_logins_without_a_browser(api: Any, server: Any) -> None:
    repository = api.client.repository
    device = {"type": "computeDevice", "ownerUsername": "ada", "ownerIsOrganization": False}
    server.on("repository.loginAsComputeDevice", device)
    assert api(repository.login_as_compute_device("t")).owner_username == "ada"
    server.on("repository.loginWithPreAuthenticatedKeys", {"userName": "ada"})
    assert api(repository.login_with_pre_authenticated_keys("k", "pub", "priv")) == "ada"
    assert server.parameters[-1] == {"keyId": "k", "publicKey": "pub", "privateKey": "priv"}


def test_a_wrong_secret_is_not_shown(api: Any, server: Any) -> None:
    with pytest.raises(LMStudioValueError) as caught:
        api(api.client.repository.login_as_compute_device(b"secret"))
    assert "secret" not in str(caught.value)


CODE = {
    "type": "authenticationCode",
    "code": "AB-12",
    "manualUrl": "https://hub/login",
    "filledUrl": "https://hub/login?code=AB-12",
}


def test_a_login_in_a_browser(api: Any, server: Any) -> None:
    server.on_channel("repository.ensureAuthenticated", [CODE, {"type": "authenticated"}])
    seen: list[Any] = []
    assert api(api.client.repository.ensure_authenticated(seen.append)) is None
    (request,) = seen
    assert (request.code, request.manual_url) == ("AB-12", "https://hub/login")
    server.on_channel("repository.ensureAuthenticated", [{"type": "authenticated"}])
    api(api.client.repository.ensure_authenticated(seen.append))
    assert len(seen) == 1


def test_a_login_that_cannot_be_shown_ends(api: Any, server: Any) -> None:
    server.on_channel("repository.ensureAuthenticated", lambda channel: channel.send(CODE))
    with pytest.raises(ZeroDivisionError):
        api(api.client.repository.ensure_authenticated(lambda request: 1 / 0))
    with pytest.raises(LMStudioValueError, match="on_request must be a function"):
        api(api.client.repository.ensure_authenticated(None))


# -- LM Link -------------------------------------------------------------------------------------


def test_lm_link(api: Any, server: Any) -> None:
    link = api.client.repository.lm_link
    status = {
        "status": "online",
        "issues": ["notLoggedIn"],
        "peers": [{"deviceIdentifier": "d2", "deviceName": "box", "status": "connected"}],
        "deviceIdentifier": "d1",
        "deviceName": "desk",
        "lastError": {"message": "oops", "timestamp": 5},
    }
    server.on("repository.lmLinkStatus", status)
    found = api(link.status())
    assert (found.status, found.issues, found.device_name) == ("online", ("notLoggedIn",), "desk")
    assert (found.peers[0].device_name, found.last_error.message) == ("box", "oops")
    assert found.preferred_device_identifier is None
    server.on("repository.lmLinkSetDisabled")
    server.on("repository.lmLinkUpdateDeviceName")
    server.on("repository.lmLinkSetPreferredDevice")
    api(link.set_disabled(True))
    api(link.update_device_name("desk"))
    api(link.set_preferred_device("d2"))
    assert server.parameters[1:] == [
        {"disabled": True},
        {"deviceName": "desk"},
        {"deviceIdentifier": "d2"},
    ]
    with pytest.raises(LMStudioValueError, match="True or False"):
        api(link.set_disabled("no"))


def test_a_login_outlasts_the_sync_timeout(server: Any) -> None:
    server.on_odd_channel("repository.ensureAuthenticated", lambda channel: None)

    def confirm() -> None:
        channel = server.wait_for_request("repository.ensureAuthenticated")
        outlast_the_timeout(server)
        channel.send({"type": "authenticated"})
        channel.close()

    thread = threading.Thread(target=confirm)
    with lms.Client(server.api_host) as client:
        client.repository.connect()
        lms.set_sync_api_timeout(0.1)
        thread.start()
        client.repository.ensure_authenticated(print)
    thread.join()
