"""An inventory as a CycloneDX document. Equal inventories make equal bytes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from cyclonedx.contrib.license.exceptions import InvalidSpdxLicenseException
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from paddle_bootstrap import __version__
from paddle_bootstrap.supply.inventory import File, Inventory, Part

TOOL = "paddle-bootstrap"
_DECLARED = LicenseAcknowledgement.DECLARED


def document(inventory: Inventory) -> str:
    """The JSON text, schema version 1.6: the newest that common scanners read."""
    whole = Component(
        name=inventory.name,
        version=inventory.version,
        type=ComponentType.APPLICATION,
        bom_ref=inventory.name,
        properties=[_property(*fact) for fact in inventory.facts],
    )
    parts = [_component(part) for part in inventory.parts]
    tool = Component(name=TOOL, version=__version__, type=ComponentType.APPLICATION)
    metadata = BomMetaData(component=whole, tools=ToolRepository(components=[tool]), timestamp=inventory.created)
    if inventory.created is None:
        metadata.timestamp = None  # type: ignore[assignment]  # else it would be now, and no two documents equal
    serial = uuid.uuid5(uuid.NAMESPACE_OID, f"{TOOL} {inventory.seed}")
    bom = Bom(components=parts, metadata=metadata, serial_number=serial)
    bom.register_dependency(whole, parts)
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def _component(part: Part) -> Component:
    """A package; its files are parts of it where there are several, so that no digest is taken for another file's."""
    single = part.files[0] if len(part.files) == 1 else None
    purl = PackageURL("pypi", name=part.name, version=part.version or None)
    return Component(
        name=part.name,
        version=part.version or None,
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        purl=purl,
        licenses=tuple(_licences(part)),
        hashes=[_digest(single)] if single else [],
        properties=_properties(single) if single else [],
        components=[] if single else [_file(file) for file in part.files],
    )


def _file(file: File) -> Component:
    return Component(
        name=file.filename,
        type=ComponentType.FILE,
        bom_ref=file.filename,
        hashes=[_digest(file)],
        properties=[each for each in _properties(file) if each.name != f"{TOOL}:file"],
    )


def _digest(file: File) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=file.sha256)


def _properties(file: File) -> list[Property]:
    sizes = [] if file.size is None else [_property("size", str(file.size))]
    vouched = [_property("digest", file.vouched)] if file.vouched else []
    return [_property("file", file.filename), *sizes, *vouched, *(_property("mirror", name) for name in file.mirrors)]


def _property(name: str, value: str) -> Property:
    return Property(name=f"{TOOL}:{name}", value=value)


def _licences(part: Part) -> Iterator[License]:
    """One declaration may be an SPDX expression; several stand side by side, which expressions may not."""
    make = LicenseFactory()
    if len(part.licences) == 1:
        yield make.make_from_string(part.licences[0], license_acknowledgement=_DECLARED)
        return
    for text in part.licences:
        try:
            yield make.make_with_id(text, acknowledgement=_DECLARED)
        except InvalidSpdxLicenseException:
            yield make.make_with_name(text, acknowledgement=_DECLARED)
