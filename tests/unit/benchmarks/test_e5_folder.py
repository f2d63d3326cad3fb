import numpy as np

from benchmarks.e5_folder import BLOCK, Packed, dequantize, make_tokenizer


def test_a_block_of_4_bit_weights_is_scaled_and_in_order():
    first, second = np.zeros(2, BLOCK)
    first["scale"], second["scale"] = 0.5, 2
    first["pairs"] = np.arange(16)  # weights 0 to 15 in the low bits, 0 in the high bits
    second["pairs"] = 0x80  # 0 in the low bits, 8 in the high bits
    weights = dequantize(np.array([first, second]))
    assert weights.dtype == np.float32
    expected = [*((np.arange(16) - 8) * 0.5), *[-4.0] * 16, *[-16.0] * 16, *[0.0] * 16]
    assert weights.tolist() == expected


def test_the_tokenizer_normalises_as_the_table_says():
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("<mask>", 0.0)]
    pieces = [("\u2581query", -1.0), (":", -1.0), ("\u2581", -2.0), ("1\uff5e2", -1.0), ("é", -1.0)]
    tokenizer = make_tokenizer(
        Packed({}, special + pieces, {"\x01": "", "\t": " ", "\u2581": " "}, tensors={})
    )
    encoding = tokenizer.encode("que\x01ry:\t\uff11\uff5e2 e\u0301 ")
    expected = ["<s>", "\u2581query", ":", "\u2581", "1\uff5e2", "\u2581", "é", "</s>"]
    assert encoding.tokens == expected
