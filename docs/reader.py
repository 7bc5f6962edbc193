"""Lists a folio store that was closed, and checks all of it. Written from format.md alone, to
show that this page is enough; docs_test.go runs it. Usage: python3 reader.py FILE

One line for each entry, in order: the names of the buckets and the key in hexadecimal, parted
by slashes; then "bucket" and its sequence, or the value's length and the value."""
import struct
import sys

MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                      0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)

def rotl(x, r):
    return ((x << r) | (x >> (64 - r))) & MASK

def mix(acc, lane):
    return rotl((acc + lane * P2) & MASK, 31) * P1 & MASK

def xxhash64(b, seed=0):
    n, p = len(b), 0
    h = (seed + P5) & MASK
    if n >= 32:
        v = [(seed + P1 + P2) & MASK, (seed + P2) & MASK, seed, (seed - P1) & MASK]
        while p + 32 <= n:
            v = [mix(a, lane) for a, lane in zip(v, struct.unpack_from('<4Q', b, p))]
            p += 32
        h = sum(rotl(a, r) for a, r in zip(v, (1, 7, 12, 18))) & MASK
        for a in v:
            h = ((h ^ mix(0, a)) * P1 + P4) & MASK
    h = (h + n) & MASK
    while p + 8 <= n:
        h = (rotl(h ^ mix(0, number(b, p, 8)), 27) * P1 + P4) & MASK
        p += 8
    if p + 4 <= n:
        h = (rotl(h ^ number(b, p, 4) * P1 & MASK, 23) * P2 + P3) & MASK
        p += 4
    for c in b[p:]:
        h = rotl(h ^ c * P5 & MASK, 11) * P1 & MASK
    h = (h ^ h >> 33) * P2 & MASK
    h = (h ^ h >> 29) * P3 & MASK
    return h ^ h >> 32

def number(b, off, size):
    return int.from_bytes(b[off:off + size], 'little')

def fields(b, *sizes):
    out, at = [], 0
    for size in sizes:
        out.append(number(b, at, size))
        at += size
    return out


class Store:
    def __init__(self, name):
        with open(name, 'rb') as f:
            self.file = f.read()
        self.used = set()
        first = self.meta(0)
        sizes = [first['page']] if first else [4096, 8192, 16384, 32768, 65536]
        metas = [m for m in [first] + [self.meta(s) for s in sizes] if m]
        self.m = max(metas, key=lambda m: (m['txid'], m['flags'] & 1))
        assert self.m['required'] == 0, 'unknown features'
        assert self.m['flags'] & 3, 'this reader does not recover'
        assert len(self.file) >= self.m['hwm'] * self.m['page'], 'cut short'

    def meta(self, off):
        b = self.file[off:off + 512]
        if len(b) < 512 or b[:8] != b'folio\r\n\x1a' or number(b, 504, 8) != xxhash64(b[:504]):
            return None
        version, page, required, _ = fields(b[8:], 4, 4, 4, 4)
        seed, txid, _ = fields(b[24:], 8, 8, 8)
        hwm, flags = fields(b[96:], 4, 4)
        if version != 1 or off not in (0, page):
            return None
        return dict(page=page, required=required, seed=seed, txid=txid, root=b[48:72], log=b[72:96], hwm=hwm, flags=flags)

    def pages(self, pgno, n, birth, checksum):
        run = range(pgno, pgno + n)
        assert pgno >= 2 and pgno + n <= self.m['hwm'] and self.used.isdisjoint(run), f'page {pgno}'
        self.used.update(run)
        b = self.file[pgno * self.m['page']:(pgno + n) * self.m['page']]
        assert xxhash64(struct.pack('<QQ', pgno, birth) + b, self.m['seed']) == checksum, f'page {pgno}: checksum'
        return b

    def page(self, ref):
        pgno, birth, count, checksum = fields(ref, 4, 6, 6, 8)
        b = self.pages(pgno, 1, birth, checksum)
        assert number(b, 16, 4) == pgno and number(b, 24, 8) == birth
        return b, count

    def extent(self, ref):
        pgno, length, birth, checksum = fields(ref, 4, 4, 6, 8)
        return self.pages(pgno, -(-length // self.m['page']), birth, checksum)[:length]

    def entries(self, p):
        """The slots of a tree page: key, offset of the cell, offset behind its key."""
        kind, level, count, prefix_len = fields(p, 1, 1, 2, 2)
        assert (kind, level > 0) in ((1, False), (2, True))
        prefix = p[32:32 + prefix_len]
        slot = 32 + (prefix_len + 7) // 8 * 8
        for i in range(count):
            head, cell, length = fields(p[slot + 8 * i:], 4, 2, 2)
            at = cell + (24 if level else 3)
            key, end = p[at:at + length], at + length
            if length == 65535:
                key, end = self.extent(p[at:]), at + 282
                assert key[:260] == p[at + 22:end]
            if level == 0 or i > 0:
                rest = key[prefix_len:prefix_len + 4].ljust(4, b'\0')
                assert key.startswith(prefix) and head == int.from_bytes(rest, 'big')
            yield key, cell, end

    def tree(self, p, path, lo=b'', hi=None):
        """Prints the entries in and below a page, and returns their number."""
        entries, total = list(self.entries(p)), 0
        keys = [lo if p[1] else None] + [key for key, _, _ in entries[1 if p[1] else 0:]]
        assert all(a is None or a < b for a, b in zip(keys, keys[1:])), 'order'
        assert keys[-1] is None or keys[-1] >= lo and (hi is None or keys[-1] < hi), 'bounds'
        for i, (key, cell, end) in enumerate(entries):
            if p[1]:
                child, count = self.page(p[cell:])
                assert child[1] == p[1] - 1
                above = entries[i + 1][0] if i + 1 < len(entries) else hi
                below = self.tree(child, path, key if i else lo, above)
                assert below == count, 'counts'
                total += below
            else:
                assert key >= lo
                self.entry(p[cell], key, p[end:end + number(p, cell + 1, 2)], path)
                total += 1
        return total

    def entry(self, flags, key, payload, path):
        path = path + [key.hex()]
        if flags == 2:
            return self.bucket(payload, path)
        value = self.extent(payload) if flags == 1 else payload
        print('/'.join(path), len(value), value.hex())

    def bucket(self, header, path):
        sequence, flags = fields(header[24:], 8, 4)
        print('/'.join(path), 'bucket', sequence)
        if flags == 1:
            assert self.tree(header[36:], path) == number(header, 10, 6)
        else:
            self.root(header[:24], path)

    def root(self, ref, path):
        if number(ref, 0, 4) == 0:
            return
        p, count = self.page(ref)
        assert self.tree(p, path) == count

    def free(self):
        """Replays the free log."""
        chain, ref = [], self.m['log']
        while number(ref, 0, 4):
            p, _ = self.page(ref)
            assert p[0] == 3
            chain.insert(0, p)
            ref = p[32:56]
        free, mark = set(), 2 if chain else self.m['hwm']
        for p in chain:
            self.at, end = 56, number(p, 8, 4)
            while self.at < end:
                tag = self.varint(p)
                value = self.varint(p)
                if tag <= 2:
                    rising = tag == 2 and value > mark
                    assert tag == 1 or rising or free.issuperset(range(value, mark))
                    free = set() if tag == 1 else free | set(range(mark, value)) if rising else free - set(range(value, mark))
                    mark = value
                    continue
                at = 0
                for _ in range(value):
                    at += self.varint(p)
                    run = set(range(at, at + self.varint(p)))
                    at += len(run)
                    assert free.isdisjoint(run) if tag == 3 else run <= free
                    free = free | run if tag == 3 else free - run
        assert mark == self.m['hwm']
        return free

    def varint(self, p):
        x = shift = 0
        while True:
            c = p[self.at]
            self.at += 1
            x |= (c & 127) << shift
            shift += 7
            if c < 128:
                return x


s = Store(sys.argv[1])
s.root(s.m['root'], [])
free = s.free()
assert not s.used & free and s.used | free == set(range(2, s.m['hwm'])), 'pages lost or in use twice'
