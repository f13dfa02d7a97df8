# How each library is found. Debian 12 and Debian 13 both; nothing is downloaded or vendored.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(libuv REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(hiredis REQUIRED IMPORTED_TARGET hiredis>=0.14)
pkg_check_modules(libpq REQUIRED IMPORTED_TARGET libpq>=15)
pkg_check_modules(openssl REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(libcbor REQUIRED IMPORTED_TARGET libcbor>=0.8)
pkg_check_modules(inih REQUIRED IMPORTED_TARGET inih)
find_package(wslay CONFIG REQUIRED) # no .pc file in either release

# hiredis' TLS part exists from Debian 13 on; without it, rediss:// is refused with a clear line.
pkg_check_modules(hiredis_ssl IMPORTED_TARGET hiredis_ssl)

# llhttp: a library with a .pc file on Debian 13, sources to compile (node-llhttp) on Debian 12.
pkg_check_modules(libllhttp IMPORTED_TARGET libllhttp)
if(libllhttp_FOUND)
    add_library(llhttp INTERFACE)
    target_link_libraries(llhttp INTERFACE PkgConfig::libllhttp)
else()
    find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp REQUIRED)
    find_path(LLHTTP_SOURCE llhttp.c PATHS /usr/share/llhttp REQUIRED)
    add_library(llhttp STATIC
        ${LLHTTP_SOURCE}/llhttp.c ${LLHTTP_SOURCE}/api.c ${LLHTTP_SOURCE}/http.c)
    target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
    target_compile_options(llhttp PRIVATE -w)
endif()

if(STANDPIPE_TESTS)
    pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka)
endif()
