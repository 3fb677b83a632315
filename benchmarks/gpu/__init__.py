"""Nine minutes on a GPU: does it compute right, how fast is it, and what model comes out of five minutes.

    python -m benchmarks.gpu --out FOLDER            on the GPU: torch, numpy, safetensors and blake3 are enough
    python -m benchmarks.gpu.evaluate FOLDER         afterwards, where RDKit is: validity, uniqueness, FCD, the page

Every measurement is a line of FOLDER/record.jsonl, written as soon as it is made.
"""
