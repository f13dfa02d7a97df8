# What is installed where, and the Debian package that `cpack -G DEB` makes of it (in a build folder configured with
# -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr).
include(GNUInstallDirs)
set(build_src ${CMAKE_BINARY_DIR}/src)

install(TARGETS standpipe RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES conf/standpipe.conf DESTINATION /etc/standpipe)
install(FILES conf/tables.conf conf/redis.conf conf/redis-acl.conf conf/postgresql.conf conf/postgresql-roles.sql
    DESTINATION ${CMAKE_INSTALL_DATADIR}/standpipe)
install(DIRECTORY conf/prometheus conf/grafana DESTINATION ${CMAKE_INSTALL_DATADIR}/standpipe)
install(FILES ${build_src}/standpipe.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${build_src}/standpipe.conf.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(FILES CHANGELOG.md docs/runbook.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES conf/systemd/standpipe.service DESTINATION lib/systemd/system)

# 0.1.0-1~deb13: sorts by release, and below an official 0.1.0-1.
set(release "")
if(EXISTS /etc/os-release)
    file(STRINGS /etc/os-release release REGEX "^VERSION_ID=")
    string(REGEX REPLACE "[^0-9.]" "" release "${release}")
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME standpipe)
set(CPACK_PACKAGE_CONTACT "the standpipe authors <standpipe@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "AT Protocol firehose into PostgreSQL, through a Redis Stream")
set(CPACK_PACKAGE_DESCRIPTION
    "standpipe reads the event stream of an AT Protocol relay, appends every event to a Redis Stream,\nreads it through a consumer group and writes PostgreSQL in batches. It acknowledges after the commit\nonly, so that no event is missing after a crash of any part and none counts twice.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE "1~deb${release}")
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "redis-server, postgresql, prometheus")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${CMAKE_SOURCE_DIR}/conf/debian/conffiles ${CMAKE_SOURCE_DIR}/conf/debian/postinst
    ${CMAKE_SOURCE_DIR}/conf/debian/prerm ${CMAKE_SOURCE_DIR}/conf/debian/postrm)
include(CPack)
