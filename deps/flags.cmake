# Every warning is an error; hardening flags are what Debian ships, set here so that every build has them.
add_compile_options(
    -Wall -Wextra -Werror -Wshadow -Wswitch-enum -Wformat=2 -Wmissing-prototypes
    -Wstrict-prototypes -Wpointer-arith -Wcast-qual -Wvla -Wundef -Wwrite-strings
    -fno-common -fno-strict-aliasing -fstack-protector-strong -fstack-clash-protection)
# Marks where an indirect jump may land and guards return addresses, where processor and kernel know how.
include(CheckCCompilerFlag)
foreach(flag -fcf-protection=full -mbranch-protection=standard)
    string(MAKE_C_IDENTIFIER "has${flag}" known)
    check_c_compiler_flag("-Werror ${flag}" ${known})
    if(${known})
        add_compile_options(${flag})
    endif()
endforeach()
# Two builds of one commit give the same binary, wherever they are made.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}=. -ffile-prefix-map=${CMAKE_BINARY_DIR}=./build)
add_compile_definitions(_GNU_SOURCE)
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack -pie)

# Numbers that change where nobody wrote a cast: only clang looks for it. Unsigned numbers may wrap: hashes and what counts
# down to zero mean it.
set(checks -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
    list(APPEND checks -fsanitize=integer,implicit-conversion
        -fno-sanitize=unsigned-integer-overflow,unsigned-shift-base)
endif()
if(STANDPIPE_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link ${checks})
    add_compile_definitions(STANDPIPE_SANITIZED)
    add_link_options(-fsanitize=address,undefined)
elseif(STANDPIPE_SANITIZE)
    add_compile_options(${checks})
    add_compile_definitions(STANDPIPE_SANITIZED)
    add_link_options(-fsanitize=address,undefined)
elseif(STANDPIPE_TSAN)
    add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
    add_compile_definitions(STANDPIPE_SANITIZED)
    add_link_options(-fsanitize=thread)
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_definitions(_FORTIFY_SOURCE=3)
endif()
