"""Molecule pictures for reports and pages."""

from __future__ import annotations

import re
from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem.Draw import rdMolDraw2D

from fedmol.errors import Exit, FedmolError

# RDKit's own colours of fluorine, sulphur and chlorine are too pale for white paper.
_DARKER = {9: (0.0, 0.5, 0.5), 16: (0.65, 0.5, 0.0), 17: (0.0, 0.55, 0.0)}


def svg(smiles: str, size: tuple[int, int] = (180, 140)) -> str:
    """An SVG element (no XML prolog, transparent ground) that can stand inside HTML as it is; size in pixels.

    Raises:
        FedmolError: BAD_DATA if the SMILES cannot be read.
    """
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None or not mol.GetNumAtoms():
        raise FedmolError(Exit.BAD_DATA, f"{smiles!r} cannot be drawn: it is not a SMILES", "correct the SMILES")
    canvas = rdMolDraw2D.MolDraw2DSVG(*size)
    options: Any = canvas.drawOptions()  # RDKit's stubs give every option a wrong type
    options.clearBackground = False
    options.fixedBondLength = 28.0
    options.bondLineWidth = 1
    options.minFontSize = 11
    options.updateAtomPalette(_DARKER)
    rdMolDraw2D.PrepareAndDrawMolecule(canvas, mol)
    canvas.FinishDrawing()
    width, height = size
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    return re.sub(
        r"^.*?<svg[^>]*>(\s*<!-- END OF HEADER -->)?", head, str(canvas.GetDrawingText()), count=1, flags=re.DOTALL
    ).strip()
