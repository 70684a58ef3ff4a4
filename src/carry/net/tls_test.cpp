#include "carry/net/tls.h"

#include <gtest/gtest.h>

#include "carry/net/authority_test.h"

namespace thalweg::net {
namespace {

TEST(TlsContext, TrustsEveryCertificateOfTheText) {
  const std::string one = Authority().pem();
  EXPECT_TRUE(TlsContext::make(one));
  EXPECT_TRUE(TlsContext::make("a comment\n" + one + "another\n" + Authority().pem() + one + "\n\n"));
}

TEST(TlsContext, SaysWhatIsWrongWithAuthorities) {
  const auto says = [](std::string_view authorities, std::string_view fault) {
    const auto made = TlsContext::make(authorities);
    return !made && made.error().message.find(fault) != std::string::npos;
  };
  EXPECT_TRUE(says("not a certificate", "there is no certificate in it"));
  std::string cut = Authority().pem();
  cut.resize(cut.size() / 2);
  EXPECT_TRUE(says(cut, "certificate 1 cannot be read"));
  EXPECT_TRUE(says(Authority().pem() + cut, "certificate 2 cannot be read"));
  EXPECT_TRUE(says("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 cannot be read"));
}

std::string fault_of(std::string_view certificate, std::string_view key) {
  const auto made = TlsServerContext::make({std::string(certificate), std::string(key)});
  return made ? std::string() : made.error().message;
}

TEST(TlsServerContext, TakesACertificateWithItsChainAndKey) {
  const Authority authority;
  EXPECT_EQ(fault_of(authority.pem(), authority.key_pem()), "");
  EXPECT_EQ(fault_of(authority.pem() + Authority().pem(), authority.key_pem()), "");
}

TEST(TlsServerContext, SaysWhatIsWrong) {
  const Authority authority;
  const auto says = [&](const std::string& fault, std::string_view words) { return fault.find(words) == 0; };
  EXPECT_TRUE(says(fault_of("", authority.key_pem()), "there is no certificate in it"));
  EXPECT_TRUE(says(fault_of(authority.pem(), ""), "the private key cannot be read"));
  EXPECT_TRUE(says(fault_of(authority.pem(), authority.pem()), "the private key cannot be read"));
  EXPECT_TRUE(says(fault_of(authority.pem(), Authority().key_pem()), "the private key is not the certificate's"));
  EXPECT_TRUE(says(fault_of(Authority().pem() + authority.pem(), authority.key_pem()),
                   "the private key is not the certificate's"));  // its own comes first
}

}  // namespace
}  // namespace thalweg::net
