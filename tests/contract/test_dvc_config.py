"""What git holds of DVC's settings: a remote that works at once, and nothing that must stay secret."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest
from configobj import ConfigObj

ROOT = Path(__file__).resolve().parents[2]
#: What everybody may know of a remote. Whatever is not here (passwords, keys, tokens, paths of key files, and what a
#: later DVC calls them) belongs into ``.dvc/config.local`` or the environment.
PUBLIC = {
    "account_name",
    "allow_anonymous_login",
    "endpointurl",
    "jobs",
    "port",
    "projectname",
    "region",
    "sse",
    "url",
    "use_ssl",
    "user",
    "verify",
    "version_aware",
}


def private(lines: list[str]) -> list[str]:
    """Options of remotes that must not be committed; an address with a password counts, and an absolute path."""
    found = []
    for section, options in ConfigObj(lines).items():
        if not section.startswith(("remote ", "'remote ")):
            continue
        for name, value in options.items():
            userinfo = value.partition("://")[2].rpartition("@")[0] if name == "url" else ""
            if name not in PUBLIC or ":" in userinfo or (name == "url" and PurePosixPath(value).is_absolute()):
                found.append(f"{section}: {name}")
    return found


def test_nothing_secret_of_a_remote_is_committed() -> None:
    assert private((ROOT / ".dvc/config").read_text().splitlines()) == []
    tracked = subprocess.run(["git", "ls-files", ".dvc"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert set(tracked.stdout.split()) == {".dvc/.gitignore", ".dvc/config"}


@pytest.mark.parametrize(
    "option",
    [
        "access_key_id = x",
        "secret_access_key = x",
        "session_token = x",
        "credentialpath = key.json",
        "connection_string = x",
        "sas_token = x",
        "password = x",
        "keyfile = ~/.ssh/id",
        "url = ssh://me:secret@example.org/store",
        "url = /srv/store",
    ],
)
def test_a_secret_would_be_noticed(option: str) -> None:
    assert private(["['remote \"store\"']", option]) != []
    assert private(["['remote \"store\"']", "url = s3://bucket/auscult", "region = eu-west-1"]) == []


def test_a_fresh_clone_has_a_remote_of_its_own_that_git_does_not_see() -> None:
    settings = ConfigObj(str(ROOT / ".dvc/config"))
    url = settings[f'remote "{settings["core"]["remote"]}"']["url"]
    store = Path(".dvc", url)
    ignored = subprocess.run(["git", "check-ignore", "-q", str(store / "files")], cwd=ROOT, check=False)
    assert ignored.returncode == 0
