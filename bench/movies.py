"""bench/movies.py ML1M SPLIT OUT - which movies and people the numbers of the LightGCN++ split of MovieLens-1M are.

The split numbers people and movies anew and keeps ratings of 3 and more.  People stand in the old order (who gave no
such rating is left out); a movie is the one that all its people have rated.  Writes OUT/movies.dat and OUT/users.dat with
the split's numbers, for `recd import --catalogue --users`; the few movies that could be several are left out.
Nothing but the names of numbers is taken from the rows.
"""
import sys

raw_at, split_at, out = sys.argv[1:]

raw = {}
for line in open(raw_at + "/pairs.tsv"):
    u, i = map(int, line.split())
    raw.setdefault(u, set()).add(i)
met = {}
for part in "train", "valid", "test":
    for line in open("%s/%s.txt" % (split_at, part)):
        u, *items = map(int, line.split())
        met.setdefault(u, set()).update(items)

# People in order: skip whoever cannot be the next one, at the place where everybody behind fits.
people, old = sorted(met), sorted(raw)
skip = len(old) - len(people)
assert skip == 1, "one person without a rating of 3 is expected"
fits = lambda k, shift: len(met[people[k]]) <= len(raw[old[k + shift]])
bad_before, bad_behind = [0], [0]
for k in range(len(people)):
    bad_before.append(bad_before[-1] + (not fits(k, 0)))
for k in reversed(range(len(people))):
    bad_behind.append(bad_behind[-1] + (not fits(k, 1)))
bad_behind.reverse()
at = min(range(len(people) + 1), key=lambda k: bad_before[k] + bad_behind[k])
assert bad_before[at] + bad_behind[at] == 0, "people do not fit"
person = {u: old[k + (k >= at)] for k, u in enumerate(people)}

fans, raw_fans = {}, {}
for u, items in met.items():
    for i in items:
        fans.setdefault(i, set()).add(person[u])
for u, items in raw.items():
    for i in items:
        raw_fans.setdefault(i, set()).add(u)
could = {}
for i, people_of in fans.items():
    could[i] = {m for m in set.intersection(*(raw[u] for u in people_of)) if people_of <= raw_fans[m]}
    assert could[i], "item %d is no movie" % i
sure = {next(iter(c)) for c in could.values() if len(c) == 1}
changed = True
while changed:
    changed = False
    for i, c in could.items():
        if len(c) > 1 and len(c - sure) == 1:
            could[i] = c - sure
            sure |= could[i]
            changed = True

def rest(name, encoding):
    return {int(l.split("::", 1)[0]): l.rstrip("\n").split("::", 1)[1] for l in open(raw_at + "/" + name, encoding=encoding)}

movies, users = rest("movies.dat", "latin-1"), rest("users.dat", "latin-1")
with open(out + "/movies.dat", "w", encoding="latin-1") as f:
    for i in sorted(could):
        if len(could[i]) == 1:
            f.write("%d::%s\n" % (i, movies[next(iter(could[i]))]))
with open(out + "/users.dat", "w", encoding="latin-1") as f:
    for u in sorted(person):
        f.write("%d::%s\n" % (u, users[person[u]]))
