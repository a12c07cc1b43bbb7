/* Preloaded into a log's server or an engine: keeps a diary of what a power cut would leave, and makes the disk slow or
   broken on request.

   DISK_DIARY: after each successful fsync or fdatasync one line "<size> <path>" with the size that the file had before
   the call, since bytes that arrive meanwhile need not be safe.
   DISK_DELAY: a file that holds the milliseconds that each call takes longer; absent: none.
   DISK_BROKEN: a file; as long as it is there, each call fails with EIO. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void delay(void) {
  const char *name = getenv("DISK_DELAY");
  char text[16] = "";
  int file = name ? open(name, O_RDONLY) : -1;
  if (file < 0) return;
  if (read(file, text, sizeof text - 1) > 0) usleep(1000 * (useconds_t)atoi(text));
  close(file);
}

static void note(int fd, off_t size) {
  const char *name = getenv("DISK_DIARY");
  char link[64], path[1024], line[1100];
  ssize_t length;
  int file;
  if (!name) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  length = readlink(link, path, sizeof path - 1);
  if (length < 0) return;
  path[length] = 0;
  file = open(name, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (file < 0) return;
  snprintf(line, sizeof line, "%lld %s\n", (long long)size, path);
  if (write(file, line, strlen(line)) < 0) abort();
  close(file);
}

static int synced(int fd, const char *call) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
  struct stat before;
  int known = fstat(fd, &before) == 0 && S_ISREG(before.st_mode);
  int result;
  delay();
  if (getenv("DISK_BROKEN") && access(getenv("DISK_BROKEN"), F_OK) == 0) {
    errno = EIO;
    return -1;
  }
  result = real(fd);
  if (result == 0 && known) note(fd, before.st_size);
  return result;
}

int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }
