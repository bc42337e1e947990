/*
 * Init of a Linux that measures what the guest's program `storage bench` measures on Skink: the same sizes, the same order, the same
 * lines printed. The kernel's command line has `disk=NAME` and `mebibytes=N`, and `only=FIGURE`, if only what that takes is to be measured; modules are in /modules, in no order.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 128 * 1024, SMALL = 4096, READS = 20000, FILES = 40000, MOST_DEPTH = 32, PASSES = 16 };

static _Noreturn void end(void) {
    fflush(stdout);
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

static _Noreturn void fail(const char *what) {
    printf("bench failed: %s: %s\n", what, strerror(errno));
    end();
}

static void must(int good, const char *what) {
    if (!good)
        fail(what);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void report(const char *name, uint64_t start, uint64_t amount, int is_bytes) {
    uint64_t nanoseconds = now() - start;
    unsigned __int128 scaled = (unsigned __int128)amount * (is_bytes ? 1000 : 1000000000);
    printf("bench %s %llu %s\n", name, (unsigned long long)(scaled / (nanoseconds ? nanoseconds : 1)), is_bytes ? "MB/s" : "/s");
}

/* Loads what can be loaded, until nothing more can: so a module comes after those that it needs. */
static void load_modules(void) {
    int has_loaded = 1;
    while (has_loaded) {
        has_loaded = 0;
        DIR *folder = opendir("/modules");
        if (!folder)
            return;
        for (struct dirent *entry; (entry = readdir(folder));) {
            char path[300];
            snprintf(path, sizeof path, "/modules/%s", entry->d_name);
            int file = open(path, O_RDONLY | O_CLOEXEC);
            if (entry->d_name[0] == '.' || file < 0)
                continue;
            int is_packed = !strstr(entry->d_name + strlen(entry->d_name) - 3, ".ko");
            if (syscall(SYS_finit_module, file, "", is_packed ? 4 : 0) == 0) {
                unlink(path);
                has_loaded = 1;
            }
            close(file);
        }
        closedir(folder);
    }
}

static void whole(int file, char *bytes, size_t count, int is_write) {
    while (count > 0) {
        ssize_t done = is_write ? write(file, bytes, count) : read(file, bytes, count);
        must(done > 0, "a file");
        bytes += done;
        count -= done;
    }
}

/* Whether one of two figures is wanted: all are, or one. */
static int is_wanted(const char *figure, const char *other) {
    const char *only = getenv("only");
    return !only || strcmp(only, figure) == 0 || strcmp(only, other) == 0;
}

static void data(uint64_t mebibytes) {
    static char buffer[PIECE];
    memset(buffer, 0x5a, PIECE);
    uint64_t bytes = mebibytes << 20;
    int file = open("/mnt/storage-bench", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    must(file >= 0, "storage-bench");
    uint64_t start = now();
    for (uint64_t at = 0; at < bytes; at += PIECE)
        whole(file, buffer, PIECE, 1);
    must(fsync(file) == 0, "fsync");
    report("seq_write_ext4", start, bytes, 1);
    close(file);
    /* What was written is not to be found in memory. */
    int caches = open("/proc/sys/vm/drop_caches", O_WRONLY);
    must(caches >= 0 && write(caches, "3", 1) == 1, "drop_caches");
    close(caches);
    file = open("/mnt/storage-bench", O_RDONLY);
    start = now();
    for (uint64_t at = 0; at < bytes; at += PIECE)
        whole(file, buffer, PIECE, 0);
    report("seq_read_ext4", start, bytes, 1);
    close(file);
    must(unlink("/mnt/storage-bench") == 0, "unlink");
}

static void names(void) {
    uint64_t start = now();
    for (int number = 0; number < FILES; number++) {
        char path[64];
        struct stat status;
        snprintf(path, sizeof path, "/mnt/storage-bench-%d", number % 16);
        int file = open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
        must(file >= 0 && close(file) == 0 && stat(path, &status) == 0 && unlink(path) == 0, path);
    }
    report("create_unlink_ext4", start, FILES, 0);
}

static uint64_t random_number(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Random reads, `depth` at a time, by the kernel's asynchronous interface. */
static void random_reads(const char *name, int disk, uint64_t blocks, int depth) {
    aio_context_t context = 0;
    must(syscall(SYS_io_setup, depth, &context) == 0, "io_setup");
    struct iocb requests[MOST_DEPTH], *batch[MOST_DEPTH];
    struct io_event events[MOST_DEPTH];
    uint64_t state = 88172645463325252u;
    char *buffers = aligned_alloc(SMALL, (size_t)SMALL * depth);
    int submitted = 0, ended = 0, free_slots = depth;
    for (int slot = 0; slot < depth; slot++)
        batch[slot] = &requests[slot];
    uint64_t start = now();
    while (ended < READS) {
        int count = READS - submitted < free_slots ? READS - submitted : free_slots;
        for (int index = 0; index < count; index++) {
            struct iocb *request = batch[index];
            int slot = request - requests;
            memset(request, 0, sizeof *request);
            request->aio_lio_opcode = IOCB_CMD_PREAD;
            request->aio_fildes = disk;
            request->aio_buf = (uint64_t)(buffers + (size_t)slot * SMALL);
            request->aio_nbytes = SMALL;
            request->aio_offset = random_number(&state) % blocks * SMALL;
        }
        must(count == 0 || syscall(SYS_io_submit, context, count, batch) == count, "io_submit");
        submitted += count;
        free_slots = syscall(SYS_io_getevents, context, 1, depth, events, NULL);
        must(free_slots > 0, "io_getevents");
        ended += free_slots;
        for (int index = 0; index < free_slots; index++) {
            must(events[index].res == SMALL, "a read");
            batch[index] = (struct iocb *)events[index].obj;
        }
    }
    report(name, start, READS, 0);
    syscall(SYS_io_destroy, context);
    free(buffers);
}

static void raw(const char *device, uint64_t mebibytes) {
    int disk = open(device, O_RDONLY | O_DIRECT);
    uint64_t bytes = 0;
    must(disk >= 0 && ioctl(disk, BLKGETSIZE64, &bytes) == 0, device);
    char *buffer = aligned_alloc(SMALL, PIECE);
    uint64_t pieces = (mebibytes << 20) / PIECE;
    if (pieces > bytes / PIECE)
        pieces = bytes / PIECE;
    uint64_t start = now();
    for (uint64_t piece = 0; piece < pieces * PASSES; piece++)
        must(pread(disk, buffer, PIECE, piece % pieces * PIECE) == PIECE, "a read");
    report("seq_read_raw", start, pieces * PASSES * PIECE, 1);
    uint64_t state = 1, blocks = bytes / SMALL;
    start = now();
    for (int count = 0; count < READS; count++)
        must(pread(disk, buffer, SMALL, random_number(&state) % blocks * SMALL) == SMALL, "a read");
    report("rand4k_d1", start, READS, 0);
    random_reads("rand4k_d32", disk, blocks, 32);
    close(disk);
}

int main(void) {
    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mkdir("/mnt", 0755);
    must(mount("proc", "/proc", "proc", 0, NULL) == 0, "/proc");
    must(mount("dev", "/dev", "devtmpfs", 0, NULL) == 0, "/dev");
    load_modules();
    const char *name = getenv("disk"), *size = getenv("mebibytes");
    must(name && size, "disk= and mebibytes= on the command line");
    char device[64];
    snprintf(device, sizeof device, "/dev/%s", name);
    for (int tries = 0; access(device, R_OK) != 0 && tries < 500; tries++)
        usleep(20000);
    must(mount(device, "/mnt", "ext4", MS_NOATIME, NULL) == 0, device);
    if (is_wanted("seq_write_ext4", "seq_read_ext4"))
        data(strtoull(size, NULL, 10));
    if (is_wanted("create_unlink_ext4", ""))
        names();
    must(umount("/mnt") == 0, "umount");
    if (is_wanted("seq_read_raw", "") || is_wanted("rand4k_d1", "rand4k_d32"))
        raw(device, strtoull(size, NULL, 10));
    end();
}
