"""Distributions that are installed for one test: modules with metadata in a directory on the import path."""

from __future__ import annotations

from pathlib import Path

WORKING = """
import attrs
from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind

@attrs.frozen
class Settings:
    word: str = ""

@hookimpl
def captchahub_provider_kinds():
    return [ProviderKind(name, Settings, lambda settings: None) for name in {names!r}]
"""
"""A plugin that adds provider kinds with these names, which can't be built."""

BROKEN = "raise RuntimeError('no engine')"
OUTDATED = "captchahub_contract = 0"


class PackageFolder:
    """A directory for distributions."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def install(
        self, distribution: str, module: str, source: str, *names: str, group: str = "captchahub"
    ) -> None:
        """Install a distribution with one module and entry points with these names."""
        (self.root / f"{module}.py").write_text(source)
        metadata = self.root / f"{distribution.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {module}\n" for name in names)
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{lines}")
