"""``migkit qemu image``: Linux guests with real applications, made of packages of Debian."""

from __future__ import annotations

from pathlib import Path

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.units import format_size

__all__ = ["command"]


@click.command("image", cls=Command)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(folder: Path | None, quiet: bool) -> None:
    """Make the Linux guests of `migkit qemu capture --guest` in FOLDER, or where that command looks for them.

    apt fetches packages of the Debian that this machine runs into FOLDER/packages, about 110 MB: its kernel for
    clouds, busybox, Redis, stress-ng, PostgreSQL and the libraries that they need. Nothing is installed, and no
    script of a package runs. What a guest needs of them is packed into FOLDER/initramfs-GUEST, beside migkit's own
    workers, compiled with gcc. The same packages make the same bytes. A second run fetches only what has changed. For
    example:

    \b
      migkit qemu image
      migkit qemu capture --guest redis --operations 500 --memory "384 MiB" --max-bandwidth "30 MiB/s" -o run.parquet

    Exit codes: 1 a package cannot be fetched or FOLDER cannot be written, 4 this machine is no Debian for x86-64, or
    lacks apt or gcc.
    """
    from migkit.qemu.guests import applications

    place = folder or applications.usual_folder()
    _output.narrate(f"fetching packages into {place / 'packages'}", quiet)
    image = applications.build(place)
    size = format_size(sum(file.stat().st_size for file in (image.kernel, *image.archives.values())))
    rows = [
        ("image", f"{place}, {size}"),
        ("guests", ", ".join(applications.APPLICATIONS)),
        *((name, image.packages[name]) for name in sorted(image.packages) if name in applications.named()),
    ]
    click.echo("\n".join(f"{name:<34} {value}" for name, value in rows))
