# `cmake --install BUILD --prefix P`: a tree that can be moved as a whole, since the program finds its engine from its own folder.
#   bin/thalweg, lib/thalweg/engine (where one was prepared), share/man, share/doc, share/thalweg,
#   lib/systemd/system/thalweg.service, and etc/thalweg/thalweg.yaml unless there is one (/etc for the prefix /usr)
# Only the program and its page are built for it, not the tests.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
set(THALWEG_ENGINE_FOLDER "" CACHE PATH "The engine to install; empty: the one that `make engine` prepared, if any; none: no engine")

set(man_page ${PROJECT_BINARY_DIR}/thalweg.1.gz)
add_custom_command(OUTPUT ${man_page}
  COMMAND sh -c "${PROJECT_SOURCE_DIR}/scripts/man.sh $<TARGET_FILE:thalweg> | gzip -9n > ${man_page}.new"
  COMMAND ${CMAKE_COMMAND} -E rename ${man_page}.new ${man_page}
  DEPENDS thalweg ${PROJECT_SOURCE_DIR}/scripts/man.sh VERBATIM)
add_custom_target(man ALL DEPENDS ${man_page})

install(TARGETS thalweg RUNTIME DESTINATION bin)
install(FILES ${man_page} DESTINATION share/man/man1)
install(FILES docs/formats/config.schema.json packaging/thalweg.yaml DESTINATION share/thalweg)
install(DIRECTORY data/facts DESTINATION share/thalweg FILES_MATCHING PATTERN "*.yaml")
install(FILES README.md CHANGELOG.md LICENSE packaging/debian/copyright DESTINATION share/doc/thalweg)
install(DIRECTORY docs DESTINATION share/doc/thalweg FILES_MATCHING PATTERN "*.md" PATTERN "*.svg" PATTERN "*.json")

configure_file(${PROJECT_SOURCE_DIR}/cmake/install_here.cmake.in ${PROJECT_BINARY_DIR}/install_here.cmake @ONLY)
install(SCRIPT ${PROJECT_BINARY_DIR}/install_here.cmake)
