"""What accompanies a substance in its salts and solvates, beside what RDKit's own list has (FragmentRemover).

A pattern stands for the whole fragment, in any state of charge. Where all fragments of a row are listed, one is kept:
of bases rather than acids, and of solvents rather than both.
"""

from __future__ import annotations

from collections.abc import Mapping

ACIDS = {
    "adipic acid": "OC(=O)CCCCC(=O)O",
    "ascorbic acid": "OCC(O)C1OC(=O)C(O)=C1O",
    "benzenesulfonic acid": "OS(=O)(=O)c1ccccc1",
    "benzoic acid": "OC(=O)c1ccccc1",
    "camphorsulfonic acid": "CC1(C)C2CCC1(CS(=O)(=O)O)C(=O)C2",
    "citric acid": "OC(=O)CC(O)(CC(=O)O)C(=O)O",
    "cyclamic acid": "OS(=O)(=O)NC1CCCCC1",
    "dodecyl sulfate": "CCCCCCCCCCCCOS(=O)(=O)O",
    "edisylic acid": "OS(=O)(=O)CCS(=O)(=O)O",
    "ethanesulfonic acid": "CCS(=O)(=O)O",
    "formic acid": "OC=O",
    "fumaric or maleic acid": "OC(=O)C=CC(=O)O",
    "gluceptic acid": "OCC(O)C(O)C(O)C(O)C(O)C(=O)O",
    "gluconic acid": "OCC(O)C(O)C(O)C(O)C(=O)O",
    "glucuronic acid": "OC1OC(C(O)C(O)C1O)C(=O)O",
    "glutaric acid": "OC(=O)CCCC(=O)O",
    "glycolic acid": "OCC(=O)O",
    "hippuric acid": "OC(=O)CNC(=O)c1ccccc1",
    "isethionic acid": "OCCS(=O)(=O)O",
    "lactic acid": "CC(O)C(=O)O",
    "lactobionic acid": "OCC1OC(OC(C(O)CO)C(O)C(O)C(=O)O)C(O)C(O)C1O",
    "malic acid": "OC(=O)CC(O)C(=O)O",
    "malonic acid": "OC(=O)CC(=O)O",
    "mandelic acid": "OC(=O)C(O)c1ccccc1",
    "methyl sulfate": "COS(=O)(=O)O",
    "naphthalenedisulfonic acid": "OS(=O)(=O)c1cccc2c1cccc2S(=O)(=O)O",
    "naphthalenesulfonic acid": "OS(=O)(=O)c1ccc2ccccc2c1",
    "orotic acid": "OC(=O)c1cc(=O)[nH]c(=O)[nH]1",
    "oxalic acid": "OC(=O)C(=O)O",
    "palmitic acid": "CCCCCCCCCCCCCCCC(=O)O",
    "pamoic acid": "OC(=O)c1cc2ccccc2c(c1O)Cc3c(O)c(cc4ccccc34)C(=O)O",
    "picric acid": "Oc1c(cc(cc1[N+](=O)[O-])[N+](=O)[O-])[N+](=O)[O-]",
    "propionic acid": "CCC(=O)O",
    "pyroglutamic acid": "OC(=O)C1CCC(=O)N1",
    "salicylic acid": "OC(=O)c1ccccc1O",
    "stearic acid": "CCCCCCCCCCCCCCCCCC(=O)O",
    "succinic acid": "OC(=O)CCC(=O)O",
    "tartaric acid": "OC(=O)C(O)C(O)C(=O)O",
    "thiocyanic acid": "SC#N",
    "toluenesulfonic acid": "Cc1ccc(cc1)S(=O)(=O)O",
    "xinafoic acid": "OC(=O)c1ccc2ccccc2c1O",
}
BASES = {
    "arginine": "NC(CCCNC(=N)N)C(=O)O",
    "aspartic acid": "NC(CC(=O)O)C(=O)O",
    "benethamine": "C(Cc1ccccc1)NCc2ccccc2",
    "benzathine": "C(CNCc1ccccc1)NCc2ccccc2",
    "choline": "C[N+](C)(C)CCO",
    "dicyclohexylamine": "C1CCCCC1NC2CCCCC2",
    "diethanolamine": "OCCNCCO",
    "diethylamine": "CCNCC",
    "ethanolamine": "NCCO",
    "ethylenediamine": "NCCN",
    "glutamic acid": "NC(CCC(=O)O)C(=O)O",
    "lysine": "NCCCCC(N)C(=O)O",
    "meglumine": "CNCC(O)C(O)C(O)C(O)CO",
    "piperazine": "C1CNCCN1",
    "tert-butylamine": "CC(C)(C)N",
    "triethanolamine": "OCCN(CCO)CCO",
    "triethylamine": "CCN(CC)CC",
    "tromethamine": "NC(CO)(CO)CO",
}
SOLVENTS = {
    "acetone": "CC(=O)C",
    "acetonitrile": "CC#N",
    "butanol": "CCCCO",
    "chloroform": "ClC(Cl)Cl",
    "dichloromethane": "ClCCl",
    "diethyl ether": "CCOCC",
    "dimethyl sulfoxide": "CS(=O)C",
    "dimethylacetamide": "CC(=O)N(C)C",
    "ethyl acetate": "CCOC(=O)C",
    "heptane": "CCCCCCC",
    "hexane": "CCCCCC",
    "isopropanol": "CC(C)O",
    "isopropyl acetate": "CC(C)OC(=O)C",
    "methanol": "CO",
    "methyl tert-butyl ether": "COC(C)(C)C",
    "propylene glycol": "CC(O)CO",
    "pyridine": "c1ccncc1",
    "tetrahydrofuran": "C1CCOC1",
    "toluene": "Cc1ccccc1",
}


def patterns(fragments: Mapping[str, str]) -> str:
    """As RDKit's FragmentRemover takes them."""
    return "".join(f"{name}\t{smarts}\n" for name, smarts in fragments.items())
