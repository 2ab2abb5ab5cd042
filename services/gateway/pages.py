"""The console's files, as they are in `console/` when the process starts: only those, each with a type of its own, nothing looked up by what a request says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

FOLDER = Path(__file__).parent / "console"
INDEX = "index.html"
FILE_BYTES_MAX = 16 * 1024 * 1024
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
"""What a file of the console may be; others are not served."""


class Page(msgspec.Struct, frozen=True):
    """One file."""

    body: bytes
    media_type: str
    etag: str


class Pages:
    """Every file of a folder by the path it is asked for."""

    def __init__(self, folder: Path = FOLDER):
        self._pages = {
            str(path.relative_to(folder)): _read(path) for path in sorted(folder.rglob("*")) if _is_page(path)
        }

    @property
    def paths(self) -> tuple[str, ...]:
        """What there is."""
        return tuple(f"/{name}" for name in self._pages)

    def answer(self, request: Request) -> Response:
        """The file that is asked for, or 304 where the browser has it already.

        Raises:
            HTTPException: 404.
        """
        page = self._pages.get(request.url.path.removeprefix("/") or INDEX)
        if page is None:
            raise HTTPException(404)
        headers = {"ETag": page.etag, "Cache-Control": "no-cache"}
        if page.etag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        return Response(page.body, media_type=page.media_type, headers=headers)


def _is_page(path: Path) -> bool:
    is_ours = path.suffix in TYPES and not any(part.startswith(".") for part in path.parts[-3:])
    return is_ours and path.is_file() and not path.is_symlink() and path.stat().st_size <= FILE_BYTES_MAX


def _read(path: Path) -> Page:
    body = path.read_bytes()
    return Page(body, TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
