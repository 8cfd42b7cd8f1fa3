/*
 * store/keyring.c - secrets of people, and sealing with them.
 *
 * XChaCha20-Poly1305 (libsodium): its nonces are long enough to be drawn at
 * random.
 */
#include "store/keyring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "store/wipe.h"

#define MAGIC "recdkeys"

struct head {
    char magic[8];
    uint32_t version, zero;
    unsigned char store[STO_RING_ID];
    uint64_t generation, n;
};

static_assert(sizeof(struct head) == 48, "the head of a keystore");
static_assert(sizeof(struct sto_ring_key) == 56, "a person of a keystore");
static_assert(STO_SEAL_HEAD == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES &&
                  STO_SEAL_TAIL == crypto_aead_xchacha20poly1305_ietf_ABYTES,
              "what sealing adds");

/* --- rings ----------------------------------------------------------------
 */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the keys of the store's people");
}

static size_t file_bytes(size_t n)
{
    return sizeof(struct head) + n * sizeof(struct sto_ring_key) +
           KEY_DIGEST_BYTES;
}

/* Room for n keys; n * 56 cannot overflow where it comes from memory, and is
 * checked against the file where it comes from one. */
static enum err make(struct sto_ring **out, size_t n)
{
    struct sto_ring *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return no_memory();
    r->block = sodium_init() < 0 ? NULL : sodium_malloc(file_bytes(n));
    if (r->block == NULL) {
        free(r);
        return no_memory();
    }
    /* the block ends with its pages, and its size is a multiple of 8 */
    r->key = (void *)(r->block + sizeof(struct head));
    r->n = n;
    r->holders = 1;
    *out = r;
    return ERR_OK;
}

enum err sto_ring_new(struct sto_ring **out)
{
    struct sto_ring *r;

    ERR_TRY(make(&r, 0));
    randombytes_buf(r->store, sizeof(r->store));
    *out = r;
    return ERR_OK;
}

static enum err make_like(struct sto_ring **out, const struct sto_ring *from,
                          size_t n)
{
    ERR_TRY(make(out, n));
    memcpy((*out)->store, from->store, sizeof(from->store));
    (*out)->generation = from->generation;
    return ERR_OK;
}

enum err sto_ring_copy(struct sto_ring **out, const struct sto_ring *from)
{
    struct sto_ring *r;

    ERR_TRY(make_like(&r, from, from->n));
    memcpy(r->key, from->key, from->n * sizeof(*from->key));
    *out = r;
    return ERR_OK;
}

static void draw(struct sto_ring_key *k)
{
    randombytes_buf(k->name, sizeof(k->name));
    do
        randombytes_buf(k->secret, sizeof(k->secret));
    while (sto_ring_is_dead(k));
}

enum err sto_ring_add(struct sto_ring **out, const struct sto_ring *from,
                      const uint64_t *user, size_t n)
{
    struct sto_ring *r;
    size_t i = 0, j = 0, to = 0;

    ERR_TRY(make_like(&r, from, from->n + n));
    while (i < from->n || j < n) {
        if (i < from->n && (j == n || from->key[i].user <= user[j])) {
            const bool dead = sto_ring_is_dead(&from->key[i]);

            /* who is asked for and was destroyed is drawn anew below */
            if (!dead)
                r->key[to++] = from->key[i];
            while (!dead && j < n && user[j] == from->key[i].user)
                j++;
            i++;
            continue;
        }
        if (to == 0 || r->key[to - 1].user != user[j]) {
            r->key[to].user = user[j];
            draw(&r->key[to++]);
        }
        j++;
    }
    r->n = to;
    *out = r;
    return ERR_OK;
}

struct sto_ring *sto_ring_hold(struct sto_ring *r)
{
    if (r != NULL)
        r->holders++;
    return r;
}

void sto_ring_free(struct sto_ring *r)
{
    if (r == NULL || --r->holders > 0)
        return;
    sodium_free(r->block); /* overwrites it */
    free(r);
}

size_t sto_ring_place(const struct sto_ring *r, uint64_t user)
{
    size_t lo = 0, hi = r->n;

    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;

        if (r->key[mid].user < user)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool sto_ring_is_dead(const struct sto_ring_key *k)
{
    return sodium_is_zero(k->secret, sizeof(k->secret)) == 1;
}

const struct sto_ring_key *sto_ring_find(const struct sto_ring *r,
                                         uint64_t user)
{
    const size_t i = sto_ring_place(r, user);

    return i < r->n && r->key[i].user == user && !sto_ring_is_dead(&r->key[i])
               ? &r->key[i]
               : NULL;
}

void sto_ring_destroy(struct sto_ring *r, uint64_t user)
{
    const size_t i = sto_ring_place(r, user);

    if (i < r->n && r->key[i].user == user) {
        sodium_memzero(r->key[i].name, sizeof(r->key[i].name));
        sodium_memzero(r->key[i].secret, sizeof(r->key[i].secret));
    }
}

void sto_ring_renew(struct sto_ring *r, uint64_t user)
{
    const size_t i = sto_ring_place(r, user);

    assert(i < r->n && r->key[i].user == user);
    draw(&r->key[i]);
}

void sto_ring_compare(const struct sto_ring *was, const struct sto_ring *now,
                      uint64_t *destroyed, uint64_t *renewed)
{
    *destroyed = *renewed = 0;
    for (size_t i = 0; was != NULL && now != was && i < was->n; i++) {
        const struct sto_ring_key *k = sto_ring_find(now, was->key[i].user);

        if (k == NULL)
            ++*destroyed;
        else
            *renewed += sodium_memcmp(k->secret, was->key[i].secret,
                                      sizeof(k->secret)) != 0;
    }
}

/* --- their file -----------------------------------------------------------
 */

static enum err damaged(const char *path)
{
    return err_set(ERR_FORMAT,
                   "%s is damaged, or no keystore of recd: put it back from "
                   "your copy",
                   path);
}

static enum err check_head(const struct head *h, size_t bytes, const char *path)
{
    if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0)
        return damaged(path);
    if (h->version != STO_RING_VERSION)
        return err_set(ERR_FORMAT,
                       "%s is a keystore of version %u and this recd reads "
                       "version %d: use the recd that wrote it",
                       path, (unsigned)h->version, STO_RING_VERSION);
    if (h->zero != 0 || h->generation == 0 ||
        h->n != (bytes - file_bytes(0)) / sizeof(struct sto_ring_key) ||
        (bytes - file_bytes(0)) % sizeof(struct sto_ring_key) != 0)
        return damaged(path);
    return ERR_OK;
}

static void digest_of(const struct sto_ring *r,
                      unsigned char out[KEY_DIGEST_BYTES])
{
    struct key_digest d;

    key_digest_init(&d);
    key_digest_add(&d, r->block, file_bytes(r->n) - KEY_DIGEST_BYTES);
    key_digest_end(&d, out);
}

/* Once the block holds a file whose size is that of r->n keys. */
static enum err check_block(struct sto_ring *r, const char *path)
{
    unsigned char digest[KEY_DIGEST_BYTES];
    struct head h;

    memcpy(&h, r->block, sizeof(h));
    ERR_TRY(check_head(&h, file_bytes(r->n), path));
    digest_of(r, digest);
    if (memcmp(digest, r->key + r->n, sizeof(digest)) != 0)
        return damaged(path);
    for (size_t i = 0; i < r->n; i++) {
        if ((i > 0 && r->key[i].user <= r->key[i - 1].user) ||
            sto_ring_is_dead(&r->key[i]))
            return damaged(path);
    }
    memcpy(r->store, h.store, sizeof(r->store));
    memcpy(r->digest, digest, sizeof(r->digest));
    r->generation = h.generation;
    return ERR_OK;
}

/* A ring with room for a file of so many bytes. */
static enum err make_for(struct sto_ring **out, const struct head *h,
                         size_t bytes, const char *path)
{
    if (bytes < file_bytes(0))
        return damaged(path);
    ERR_TRY(check_head(h, bytes, path));
    return make(out, (size_t)h->n);
}

static enum err hand_over(struct sto_ring **out, struct sto_ring *r, enum err e,
                          const char *path)
{
    if (e == ERR_OK)
        e = check_block(r, path);
    if (e == ERR_OK)
        *out = r;
    else
        sto_ring_free(r);
    return e;
}

enum err sto_ring_parse(struct sto_ring **out, const char *path,
                        const void *data, size_t n)
{
    struct head h = {.version = 0};
    struct sto_ring *r;

    memcpy(&h, data, n < sizeof(h) ? n : sizeof(h));
    ERR_TRY(make_for(&r, &h, n, path));
    memcpy(r->block, data, n);
    return hand_over(out, r, ERR_OK, path);
}

static enum err io_error(const char *doing, const char *path)
{
    return err_set(ERR_IO, "cannot %s %s: %s", doing, path, strerror(errno));
}

static bool read_whole(int fd, void *to, size_t n)
{
    unsigned char *p = to;

    while (n > 0) {
        const ssize_t got = read(fd, p, n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

static enum err read_ring(struct sto_ring **out, int fd, const char *path)
{
    struct head h = {.version = 0};
    struct sto_ring *r;
    struct stat s;

    if (fstat(fd, &s) != 0)
        return io_error("read", path);
    if (!S_ISREG(s.st_mode) || (size_t)s.st_size < file_bytes(0) ||
        !read_whole(fd, &h, sizeof(h)))
        return damaged(path);
    ERR_TRY(make_for(&r, &h, (size_t)s.st_size, path));
    memcpy(r->block, &h, sizeof(h));
    const bool whole =
        read_whole(fd, r->block + sizeof(h), (size_t)s.st_size - sizeof(h));

    return hand_over(out, r, whole ? ERR_OK : damaged(path), path);
}

enum err sto_ring_read(struct sto_ring **out, const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return err_set(ERR_NOTFOUND, "%s is missing", path);
    if (fd < 0)
        return io_error("read", path);
    const enum err e = read_ring(out, fd, path);

    (void)close(fd);
    return e;
}

bool sto_ring_peek(const char *path, unsigned char store[STO_RING_ID],
                   uint64_t *generation)
{
    struct head h = {.version = 0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool good = fd >= 0 && read_whole(fd, &h, sizeof(h)) &&
                      memcmp(h.magic, MAGIC, sizeof(h.magic)) == 0;

    if (fd >= 0)
        (void)close(fd);
    if (good) {
        memcpy(store, h.store, sizeof(h.store));
        *generation = h.generation;
    }
    return good;
}

/* Leave out the dead, and complete the block around the keys. */
static void pack(struct sto_ring *r)
{
    struct head h = {.version = STO_RING_VERSION};
    size_t to = 0;

    for (size_t i = 0; i < r->n; i++) {
        if (!sto_ring_is_dead(&r->key[i]))
            r->key[to++] = r->key[i];
    }
    sodium_memzero(r->key + to, (r->n - to) * sizeof(*r->key));
    r->n = to;
    memcpy(h.magic, MAGIC, sizeof(h.magic));
    memcpy(h.store, r->store, sizeof(h.store));
    h.generation = r->generation;
    h.n = to;
    memcpy(r->block, &h, sizeof(h));
    digest_of(r, r->digest);
    memcpy(r->key + to, r->digest, sizeof(r->digest));
}

static bool write_whole(int fd, const unsigned char *p, size_t n)
{
    while (n > 0) {
        const ssize_t put = write(fd, p, n);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        p += put;
        n -= (size_t)put;
    }
    return true;
}

enum err sto_ring_write(struct sto_ring *r, const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return io_error("make", path);
    pack(r);
    const bool good =
        write_whole(fd, r->block, file_bytes(r->n)) && fsync(fd) == 0;
    const enum err e = good ? ERR_OK : io_error("write", path);

    if (!good) {
        (void)sto_wipe(fd);
        (void)unlink(path);
    }
    (void)close(fd);
    return e;
}

/* --- records ----------------------------------------------------------------
 */

void sto_seal(const struct sto_ring_key *k, unsigned char table,
              unsigned char *buf, size_t n)
{
    unsigned char *text = buf + STO_SEAL_HEAD;

    randombytes_buf(buf, STO_SEAL_HEAD);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
        text, text + n, NULL, text, n, &table, 1, NULL, buf, k->secret);
}

bool sto_unseal(const struct sto_ring_key *k, unsigned char table,
                const unsigned char *sealed, size_t n, unsigned char *out)
{
    if (n < STO_SEAL)
        return false;
    const size_t text = n - STO_SEAL;

    return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
               out, NULL, sealed + STO_SEAL_HEAD, text,
               sealed + STO_SEAL_HEAD + text, &table, 1, sealed,
               k->secret) == 0;
}
