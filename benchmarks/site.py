"""Everything that runs during a benchmark, started for the cases that were asked for and stopped at the end."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from app.core.embedded import EmbeddedPostgres
from benchmarks.corpus import Corpus
from benchmarks.directus import DirectusService, install_directus
from benchmarks.nginx import StaticNginx, is_installed, start_proxy
from benchmarks.ours import OurService, ProxiedService
from benchmarks.rows import copy_rows, create_database
from benchmarks.targets import Item, Target, make_secret
from benchmarks.textbook_service import TextbookService, create_textbook_tables
from benchmarks.workloads import (
    DIRECTUS,
    LARGE_ROWS,
    NGINX,
    OURS,
    PROXIED,
    SMALL_ROWS,
    TEXTBOOK_1,
    TEXTBOOK_2,
    Case,
)

MAX_CONNECTIONS = 300


class Site:
    """The running servers by table size and name. Use it as a context manager, on the main thread."""

    def __init__(self, home: Path, corpus: Corpus, *, rows: dict[str, int], directus_directory: Path | None) -> None:
        """home: an empty directory.  rows: how many the tables SMALL_ROWS and LARGE_ROWS hold."""
        self._home = home
        self._corpus = corpus
        self._rows = rows
        self._directus_directory = directus_directory
        self._secret = make_secret()
        self._stack = ExitStack()
        self._postgres = EmbeddedPostgres(home / "database", max_connections=MAX_CONNECTIONS, is_durable=True)
        self._targets: dict[tuple[str, str], Target] = {}

    def __enter__(self) -> "Site":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, cases: Iterable[Case]) -> None:
        """Start what the cases need. A baseline that is not installed is left out, with a line that says so."""
        wanted = {(case.table, target) for case in cases for target in case.targets}
        self._stack.callback(self._postgres.stop)
        url = self._postgres.start()
        for table in (SMALL_ROWS, LARGE_ROWS):
            names = {name for of_table, name in wanted if of_table == table}
            if names & {OURS, PROXIED}:
                self._start_ours(url, table, with_proxy=PROXIED in names)
            if names & {TEXTBOOK_1, TEXTBOOK_2}:
                self._start_textbook(url, table, names)
            if DIRECTUS in names and self._directus_directory is not None:
                self._start_directus(url, table, self._directus_directory)
        if any(name == NGINX for _, name in wanted):
            self._start_nginx()

    def target(self, table: str, name: str) -> Target | None:
        """The running server; None when it is left out."""
        return self._targets.get((table, name))

    def all_pids(self) -> list[int]:
        """Of every server and the database."""
        return [*(pid for target in self._targets.values() for pid in target.pids), *self.database_pids]

    @property
    def database_pids(self) -> list[int]:
        pid = self._postgres.pid
        return [pid] if pid is not None else []

    def _start_ours(self, url: str, table: str, *, with_proxy: bool) -> None:
        database_url = create_database(url, f"ours_{table}")
        rows, home = self._rows[table], self._home / f"ours-{table}"
        service = OurService(
            OURS, home=home, database_url=database_url, upload_dir=home / "uploads", secret=self._secret, rows=rows
        )
        self._stack.callback(service.stop)
        service.wait()
        copy_rows(database_url, rows)
        self._targets[table, OURS] = service
        if table == LARGE_ROWS:
            return
        files = {item: service.store(item, file, kind) for item, (file, kind) in self._stored_files().items()}
        if with_proxy and is_installed():
            # Another instance on the same data: with a proxy configured, the service sends no bytes itself.
            behind = OurService(
                PROXIED, home=self._home / "ours-proxied", database_url=database_url, upload_dir=home / "uploads",
                secret=self._secret, rows=rows, accel_prefix="/_media_files/",
            )  # fmt: skip
            self._stack.callback(behind.stop)
            behind.wait()
            port, nginx = start_proxy(self._home / "proxy", api_port=behind.port, upload_dir=home / "uploads")
            self._stack.callback(nginx.stop)
            proxied = ProxiedService(PROXIED, behind, port=port, nginx=nginx)
            proxied.files = files
            self._targets[table, PROXIED] = proxied

    def _start_textbook(self, url: str, table: str, names: set[str]) -> None:
        database_url = create_database(url, f"textbook_{table}")
        create_textbook_tables(database_url)
        copy_rows(database_url, self._rows[table])
        for name, workers in ((TEXTBOOK_1, 1), (TEXTBOOK_2, 2)):
            if name not in names:
                continue
            home = self._home / f"textbook-{table}-{workers}"
            home.mkdir(parents=True)
            service = TextbookService(
                name, home=home, database_url=database_url, secret=self._secret, workers=workers, rows=self._rows[table]
            )
            self._stack.callback(service.stop)
            service.wait()
            if table == SMALL_ROWS:
                for item, (file, kind) in self._stored_files().items():
                    service.store(item, file, kind)
            self._targets[table, name] = service

    def _start_directus(self, url: str, table: str, directory: Path) -> None:
        install_directus(directory)
        service = DirectusService(
            DIRECTUS, program=directory, home=self._home / f"directus-{table}",
            database_url=create_database(url, f"directus_{table}"), rows=self._rows[table],
        )  # fmt: skip
        self._stack.callback(service.stop)
        service.prepare()
        if table == SMALL_ROWS:
            for item, (file, kind) in self._stored_files().items():
                service.store(item, file, kind)
        self._targets[table, DIRECTUS] = service

    def _start_nginx(self) -> None:
        if not is_installed():
            print("nginx is not installed: its rows are left out (apt-get install nginx-light)")
            return
        files = {item: file for item, (file, _) in self._stored_files().items()}
        nginx = StaticNginx(NGINX, home=self._home / "nginx", files=files)
        self._stack.callback(nginx.stop)
        nginx.wait()
        if not nginx.has_put:
            print("this nginx has no WebDAV module: no PUT rows for it")
        self._targets[SMALL_ROWS, NGINX] = nginx

    def _stored_files(self) -> dict[Item, tuple[Path, str]]:
        return {Item.SMALL: (self._corpus.small_jpeg, "image"), Item.VIDEO: (self._corpus.video, "video")}
