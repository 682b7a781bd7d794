"""Every product, every rule, and which product a document belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from migkit.errors import UsageError, shown
from migkit.planning.settings.document import Document
from migkit.planning.settings.finding import Rule
from migkit.planning.settings.product import Product
from migkit.planning.settings.products.incus import INCUS
from migkit.planning.settings.products.kubevirt import KUBEVIRT, OPENSHIFT
from migkit.planning.settings.products.libvirt import LIBVIRT
from migkit.planning.settings.products.nova import NOVA
from migkit.planning.settings.products.ovirt import OVIRT
from migkit.planning.settings.products.proxmox import PROXMOX
from migkit.planning.settings.products.qemu_monitor import QEMU

__all__ = ["PRODUCTS", "RULES", "product_named", "products_of"]

PRODUCTS: Final = {one.name: one for one in (QEMU, LIBVIRT, NOVA, KUBEVIRT, OPENSHIFT, PROXMOX, OVIRT, INCUS)}
RULES: Final[tuple[Rule, ...]] = tuple(rule for product in PRODUCTS.values() for rule in product.rules)
_CONFIGURE_NO_RULE: Final = (
    "DeschedulerPolicy",
    "watcher.conf",
    "audit",
    "qemu.conf",
    "libvirt.conf",
    "libvirtd.conf",
)


def product_named(name: str) -> Product:
    """Return the product of a name.

    Raises
    ------
    UsageError
        There is none.

    Examples
    --------
    >>> product_named("nova").downtime_limit
    'live_migration_downtime'
    """
    if name not in PRODUCTS:
        raise UsageError(f"advise: {shown(name)} is not known; use one of {', '.join(PRODUCTS)}")
    return PRODUCTS[name]


def products_of(documents: Sequence[Document]) -> list[Product]:
    """Return the products that documents configure a migration of; a policy alone counts as KubeVirt's."""
    kinds = {document.kind for document in documents} - set(_CONFIGURE_NO_RULE)
    if any(kind.startswith("HyperConverged") for kind in kinds):
        kinds -= {"KubeVirt", "MigrationPolicy"}
    else:
        kinds = {"KubeVirt" if kind == "MigrationPolicy" else kind for kind in kinds}
    return [product for product in PRODUCTS.values() if kinds & set(product.kinds)]
