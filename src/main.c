/* standpipe: an AT Protocol firehose into PostgreSQL, through a Redis Stream. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
