"""Rules for the Dockerfile, what may go into the build, and the compose file."""

import re
from pathlib import Path
from typing import TypeAlias, cast

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]  # has no types of its own

from app.core.config import Settings

Yaml: TypeAlias = "dict[str, Yaml] | list[Yaml] | str | int | float | bool | None"
COMPOSE = Path("docker-compose.yml")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, rest), continued lines joined, comments left out."""
    lines = [line for line in Path("Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    words = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(first.upper(), rest) for first, rest in words]


def final_stage() -> list[tuple[str, str]]:
    everything = instructions()
    last = max(number for number, (name, _) in enumerate(everything) if name == "FROM")
    return everything[last:]


def argument(name: str) -> str:
    (rest,) = [rest for instruction, rest in final_stage() if instruction == name]
    return rest


def service(name: str) -> dict[str, Yaml]:
    compose = cast("dict[str, dict[str, dict[str, Yaml]]]", yaml.safe_load(COMPOSE.read_text()))
    return compose["services"][name]


def environment(name: str) -> dict[str, Yaml]:
    values = service(name)["environment"]
    assert isinstance(values, dict)
    return values


def seconds(value: Yaml) -> int:
    match = re.fullmatch(r"(\d+)s", str(value))
    assert match is not None
    return int(match[1])


def test_image_does_not_run_as_root() -> None:
    assert argument("USER") == "10001:10001"


@pytest.mark.parametrize("name", ["ENTRYPOINT", "CMD"])
def test_signals_reach_the_server_without_a_shell(name: str) -> None:
    assert argument(name).startswith("[")


def test_health_check_needs_nothing_that_the_image_lacks() -> None:
    check = argument("HEALTHCHECK")
    assert "/healthz" in check
    assert "curl" not in check


def test_nothing_is_downloaded_or_built_in_the_final_image() -> None:
    assert all(name != "ADD" for name, _ in instructions())
    runs = " ".join(rest for name, rest in final_stage() if name == "RUN")
    assert not re.search(r"\b(pip|gcc|curl|wget)\b", runs)
    assert re.findall(r"apt-get install (?:--\S+ )*(\S+(?: [^&\s]\S*)*)", runs) == ["fonts-dejavu-core"]
    assert len([name for name, _ in instructions() if name == "FROM"]) == 2


def test_the_dependencies_have_a_layer_of_their_own() -> None:
    names = [f"{name} {rest}" for name, rest in instructions()]
    install = next(number for number, line in enumerate(names) if "--requirement" in line)
    code = next(number for number, line in enumerate(names) if line.startswith("COPY app"))
    assert install < code
    assert "--no-cache-dir" in names[install]


def test_what_apt_leaves_is_removed_in_its_own_layer() -> None:
    (install,) = [rest for name, rest in final_stage() if name == "RUN" and "apt-get" in rest]
    assert "--no-install-recommends" in install
    assert install.endswith("rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*")


def test_a_new_version_number_makes_no_layer_again() -> None:
    names = [name for name, _ in instructions()]
    assert names.index("ARG", 1) > max(place for place, name in enumerate(names) if name in {"RUN", "COPY"})


def test_every_setting_of_the_image_exists() -> None:
    names = set(re.findall(r"([A-Z_]+)=", argument("ENV"))) - {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    assert names <= set(Settings.model_fields)


def test_the_build_sees_only_what_the_dockerfile_copies() -> None:
    rules = [line for line in Path(".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {rest.split()[0] for name, rest in instructions() if name == "COPY" and "--from" not in rest}
    assert rules[0] == "*"
    assert allowed == copied


def test_every_setting_that_compose_sets_exists() -> None:
    assert set(environment("api")) <= set(Settings.model_fields)


def test_secrets_come_from_outside_and_are_demanded() -> None:
    text = COMPOSE.read_text()
    for name in ("POSTGRES_PASSWORD", "BASE_URL", "AUTH_MODE"):
        assert re.search(rf"\$\{{{name}:\?[^}}]+\}}", text), name
    assert not re.search(r"(?:PASSWORD|SECRET): (?!\$\{)", text)


def test_the_example_names_everything_that_compose_asks_for() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE.read_text()))
    named = set(re.findall(r"^# ([A-Z_]+)=", Path(".env.example").read_text(), re.MULTILINE))
    assert asked - named == set()


def test_the_memory_that_compose_grants_is_enough_for_its_workers() -> None:
    worker_bytes = Settings.model_fields["PROCESSING_MEMORY_BYTES"].default
    granted = re.search(r"MEDIA_MEMORY:-(\d+)g", COMPOSE.read_text())
    workers = re.search(r"PROCESSING_WORKERS:-(\d+)", COMPOSE.read_text())
    assert granted is not None
    assert workers is not None
    assert int(granted[1]) * 1024**3 > int(workers[1]) * worker_bytes + 1024**3


def test_the_workflow_runs_what_ci_runs() -> None:
    workflow = yaml.safe_load(Path(".github/workflows/ci.yml").read_text())
    steps = workflow["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert "3.11" in workflow["jobs"]["test"]["container"]["image"]


def test_running_uploads_may_finish_before_docker_kills() -> None:
    assert seconds(service("api")["stop_grace_period"]) > int(str(environment("api")["SHUTDOWN_GRACE_S"]))


@pytest.mark.parametrize("name", ["api", "proxy"])
def test_containers_have_a_read_only_root_and_no_privileges(name: str) -> None:
    settings = service(name)
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", ["db", "api", "proxy"])
def test_every_service_has_a_health_check_and_comes_back(name: str) -> None:
    assert "healthcheck" in service(name)
    assert service(name)["restart"] == "unless-stopped"


def test_only_the_proxy_is_reachable_from_outside() -> None:
    assert "ports" not in service("api")
    assert "ports" not in service("db")


def test_proxy_and_service_agree() -> None:
    proxy, api = environment("proxy"), environment("api")
    template = Path("docs/operations/nginx/media.conf").read_text()
    assert set(re.findall(r"\$\{(MEDIA_\w+)\}", template)) - {"MEDIA_"} == {n for n in proxy if n.startswith("MEDIA_")}
    assert proxy["MEDIA_API"] == f"api:{api['PORT']}"
    assert f"location ^~ {api['ACCEL_REDIRECT_PREFIX']} {{" in template
    assert proxy["MEDIA_CORS_ORIGINS"] == "${CORS_ORIGINS:-}"  # the line of .env that the service reads


def test_the_proxy_can_read_files_and_nothing_else() -> None:
    assert "uploads:/srv/media:ro" in _volumes("proxy")
    assert environment("proxy")["MEDIA_FILES"] == "/srv/media"
    assert service("proxy")["user"] == argument("USER")


def test_compose_is_of_the_present_format() -> None:
    compose = yaml.safe_load(COMPOSE.read_text())
    assert "version" not in compose
    used = {str(volume).partition(":")[0] for name in ("db", "api", "proxy") for volume in _volumes(name)}
    assert {volume for volume in used if not volume.startswith(".")} == set(compose["volumes"])


def _volumes(name: str) -> list[Yaml]:
    volumes = service(name)["volumes"]
    assert isinstance(volumes, list)
    return volumes
