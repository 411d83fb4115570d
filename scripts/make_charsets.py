#!/usr/bin/env python3
"""Regenerates the charset tables and their golden files from a running MySQL 8 or later.

usage: make_charsets.py CLIENT_OPTION...      for example: make_charsets.py -S /tmp/m.sock -uroot

Asks the server for CONVERT(CONVERT(bytes USING charset) USING utf8mb4) over all byte
sequences and writes
  miner/src/decode/charset/single_byte.rs, *.bin    the tables that are built in
  miner/tests/data/charsets/*.z                     what a test compares with
"""
import pathlib
import struct
import subprocess
import sys
import zlib

SINGLE = ("latin1 ascii cp850 cp852 cp866 cp1250 cp1251 cp1256 cp1257 koi8r koi8u greek hebrew "
          "latin2 latin5 latin7 tis620 macroman macce dec8 hp8 armscii8 geostd8 keybcs2").split()
MULTI = "gbk gb2312 big5 sjis cp932 ujis eucjpms euckr gb18030".split()
NONE = 0xFFFF
ROOT = pathlib.Path(__file__).resolve().parent.parent / "miner"
TABLES = ROOT / "src/decode/charset"
GOLDEN = ROOT / "tests/data/charsets"

SETUP = """
drop database if exists charset_tables; create database charset_tables; use charset_tables;
create table n(i int unsigned primary key);
insert into n values (0),(1),(2),(3),(4),(5),(6),(7),(8),(9),(10),(11),(12),(13),(14),(15);
insert into n select a.i * 16 + b.i from n a, n b where a.i * 16 + b.i > 15;
create table s1(b varbinary(4)); insert into s1 select unhex(lpad(hex(i), 2, '0')) from n;
create table s2(b varbinary(4)); insert into s2 select concat(x.b, y.b) from s1 x, s1 y where x.b >= 0x80;
create table s3(b varbinary(4)); insert into s3 select concat(0x8f, b) from s2 where b >= 0xa100 and substr(b, 2) >= 0xa1;
create table s4(b varbinary(4)); insert into s4 select concat(x.b, y.b) from s2 x, s2 y
  where x.b between 0x8100 and 0x84ff and substr(x.b, 2, 1) between 0x30 and 0x39
    and y.b >= 0x8100 and substr(y.b, 2, 1) between 0x30 and 0x39;
"""


def sql(text):
    command = ["mariadb", "--no-defaults", "--default-character-set=utf8mb4", *sys.argv[1:], "-N", "-B"]
    done = subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def characters(charset):
    """Byte sequences that are exactly one character, and that character."""
    sources = ["s1"] if charset in SINGLE else ["s1", "s2"]
    if charset in ("ujis", "eucjpms"):
        sources.append("s3")
    if charset == "gb18030":
        sources.append("s4")
    found, singles = {}, set()
    for source in sources:
        lines = sql(f"set sql_mode = ''; use charset_tables; select hex(b), "
                    f"hex(convert(convert(b using {charset}) using utf8mb4)) from {source} order by b")
        for line in lines.splitlines():
            sequence, text = line.split("\t")
            if text == "NULL":
                continue
            sequence = bytes.fromhex(sequence)
            text = bytes.fromhex(text).decode("utf8", "surrogatepass")
            if len(text) != 1 or ("?" in text and sequence != b"?"):
                continue
            if len(sequence) == 1:
                singles.add(sequence[0])
            elif sequence[0] in singles:
                continue  # one character, and a malformed rest that the server cut off
            found[sequence] = ord(text)
    if charset != "gb18030":
        found = {sequence: c for sequence, c in found.items() if c != 0xFFFD}
    return found


def sequences(charset):
    result = [bytes([i]) for i in range(256)]
    if charset in MULTI:
        result += [bytes([a, b]) for a in range(0x80, 0x100) for b in range(256)]
    if charset in ("ujis", "eucjpms"):
        result += [bytes([0x8F, a, b]) for a in range(0xA1, 0xFF) for b in range(0xA1, 0xFF)]
    if charset == "gb18030":
        result += [bytes([a, b, c, d]) for a in range(0x81, 0x85) for b in range(0x30, 0x3A)
                   for c in range(0x81, 0xFF) for d in range(0x30, 0x3A)]
    return result


def plane(found, prefix, leads, trails):
    return b"".join(struct.pack(">H", found.get(prefix + bytes([a, b]), 0))
                    for a in range(leads[0], leads[1] + 1) for b in range(trails[0], trails[1] + 1))


def main():
    sql(SETUP)
    single = (TABLES / "single_byte.rs").read_text().split("\n#[rustfmt::skip]")[0]
    for charset in SINGLE + MULTI:
        found = characters(charset)
        units = [found.get(sequence, NONE) for sequence in sequences(charset)]
        packed = zlib.compress(struct.pack(f">{len(units)}H", *units), 9)
        (GOLDEN / f"{charset}.z").write_bytes(packed)
        if charset in SINGLE and charset not in ("latin1", "ascii"):
            upper = [found.get(bytes([i]), 0) for i in range(128, 256)]
            rows = "".join("    " + " ".join(f"0x{c:04x}," for c in upper[i:i + 16]) + "\n"
                           for i in range(0, 128, 16))
            single += f"\n#[rustfmt::skip]\npub(super) static {charset.upper()}: UpperHalf = [\n{rows}];\n"
        euc = ((0xA1, 0xFE), (0xA1, 0xFE))
        tables = {
            "gbk": [(b"", (0x81, 0xFE), (0x40, 0xFE))],
            "gb2312": [(b"", (0xA1, 0xF7), (0xA1, 0xFE))],
            "big5": [(b"", (0xA1, 0xF9), (0x40, 0xFE))],
            "ujis": [(b"", *euc), (b"\x8f", *euc)],
            "eucjpms": [(b"", *euc), (b"\x8f", *euc)],
        }
        if charset in tables:
            planes = [plane(found, *arguments) for arguments in tables[charset]]
            (TABLES / f"{charset}.bin").write_bytes(b"".join(planes))
    (TABLES / "single_byte.rs").write_text(single)
    sql("drop database charset_tables")


main()
