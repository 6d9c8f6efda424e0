/*
 * Runs a fuzz target on the files of the folders that it is given: in builds without libFuzzer the
 * seeds are tests like any other, under every compiler and sanitizer.
 */
#include <dirent.h>

#include "tests/fuzz/fuzz.h"

static void run_file(const char *folder, const char *name)
{
    char path[512];
    MUST(snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
    FILE *file = fopen(path, "rb");
    MUST(file != NULL);
    struct bytes bytes = {0};
    char piece[4096];
    for (size_t got; (got = fread(piece, 1, sizeof piece, file)) > 0;)
        bytes_add(&bytes, piece, got);
    fclose(file);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(bytes.data, bytes.length);
    free(bytes.data);
}

static size_t run_folder(const char *folder)
{
    size_t files = 0;
    DIR *entries = opendir(folder);
    MUST(entries != NULL);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        run_file(folder, entry->d_name);
        files++;
    }
    closedir(entries);
    return files;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    for (int i = 1; i < argc; i++)
        files += run_folder(argv[i]);
    return files > 0 ? 0 : 1;
}
