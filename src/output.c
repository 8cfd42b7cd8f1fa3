/* src/output.c - files that appear whole or not at all. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "src/ui.h"

enum err cmd_ui_create(struct cmd_output *out, const char *path)
{
    struct stat s;
    const bool device =
        path != NULL && stat(path, &s) == 0 && !S_ISREG(s.st_mode);

    *out = (struct cmd_output){.file = stdout, .path = path};
    if (path == NULL)
        return ERR_OK;
    if (!device) {
        const size_t room = strlen(path) + 8;

        if ((out->tmp = mem_array(room, 1)) == NULL)
            return err_set(ERR_NOMEM, "no memory to write %s", path);
        (void)snprintf(out->tmp, room, "%s.tmp", path);
    }
    out->file = fopen(device ? path : out->tmp, "w");
    if (out->file != NULL)
        return ERR_OK;
    free(out->tmp);
    return err_set(ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

enum err cmd_ui_finish(struct cmd_output *out, enum err e)
{
    const char *name = out->path != NULL ? out->path : "the output";
    int bad = ferror(out->file);

    bad |= out->file == stdout ? fflush(stdout) : fclose(out->file);
    if (bad != 0 && e == ERR_OK)
        e = err_set(ERR_IO, "cannot write %s to its end: %s", name,
                    strerror(errno));
    if (out->tmp != NULL && e == ERR_OK && rename(out->tmp, out->path) != 0)
        e = err_set(ERR_IO, "cannot write %s: %s", name, strerror(errno));
    if (out->tmp != NULL && e != ERR_OK)
        (void)unlink(out->tmp);
    free(out->tmp);
    *out = (struct cmd_output){0};
    return e;
}
