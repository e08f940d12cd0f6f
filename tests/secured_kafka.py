"""The embedded broker with listeners for SASL_SSL and mutual TLS, and certificates made for it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from platform_run import wait_until

from fleet_assets.local.kafka import embedded_kafka
from fleet_assets.local.ports import LOOPBACK, free_port
from fleet_assets.settings import Settings

USER, PASSWORD = "fleet", "right-password"


@dataclass(frozen=True)
class Certificates:
    """Files in PEM."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def other_ca(self) -> Path:
        return self.folder / "other.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"


def make_certificates(folder: Path) -> Certificates:
    """Two CAs; the first one signs a certificate for the broker and one for a client."""
    folder.mkdir()
    made = Certificates(folder)
    for ca in ("ca", "other"):
        _openssl(
            folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", f"/CN=fleet test {ca}",
            "-keyout", f"{ca}.key", "-out", f"{ca}.crt",
        )  # fmt: skip
    (folder / "broker.ext").write_text(f"subjectAltName=IP:{LOOPBACK},DNS:localhost\n")
    (folder / "client.ext").write_text("extendedKeyUsage=clientAuth\n")
    for name in ("broker", "client"):
        _openssl(
            folder, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr",
        )  # fmt: skip
        _openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt",
        )  # fmt: skip
    pem = made.key("broker").read_text() + made.certificate("broker").read_text()
    (folder / "broker.pem").write_text(pem)
    return made


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@dataclass(frozen=True)
class SecuredKafka:
    """A broker that is up: its addresses by how they are secured."""

    plaintext: str
    sasl_ssl: str
    ssl: str
    certificates: Certificates

    def with_password(self, mechanism: str, password: str = PASSWORD) -> dict[str, str]:
        """Environment of a client that logs in."""
        return {
            "FLEET_KAFKA_BOOTSTRAP_SERVERS": self.sasl_ssl,
            "FLEET_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "FLEET_KAFKA_SASL_MECHANISM": mechanism,
            "FLEET_KAFKA_SASL_USERNAME": USER,
            "FLEET_KAFKA_SASL_PASSWORD": password,
            "FLEET_KAFKA_SSL_CA_LOCATION": str(self.certificates.ca),
        }

    def with_certificate(self) -> dict[str, str]:
        """Environment of a client that shows a certificate."""
        return {
            "FLEET_KAFKA_BOOTSTRAP_SERVERS": self.ssl,
            "FLEET_KAFKA_SECURITY_PROTOCOL": "SSL",
            "FLEET_KAFKA_SSL_CA_LOCATION": str(self.certificates.ca),
            "FLEET_KAFKA_SSL_CERTIFICATE_LOCATION": str(self.certificates.certificate("client")),
            "FLEET_KAFKA_SSL_KEY_LOCATION": str(self.certificates.key("client")),
        }


@contextmanager
def secured_kafka(home: Path) -> Iterator[SecuredKafka]:
    """The embedded broker as `fleet up` makes it, with two listeners more."""
    settings = Settings(_env_file=None, home=home, kafka_port=free_port(), kafka_heap="256m")
    home.mkdir()
    service = embedded_kafka(settings, home, lambda _: None)
    made = make_certificates(home / "certificates")
    plaintext = f"{LOOPBACK}:{settings.kafka_port}"
    kafka = SecuredKafka(plaintext, f"{LOOPBACK}:{free_port()}", f"{LOOPBACK}:{free_port()}", made)
    config = home / "kafka" / "server.properties"
    config.write_text(_with_listeners(config.read_text(), kafka))
    log = (home / "kafka.log").open("wb")
    process = subprocess.Popen(service.command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(
            lambda: process.poll() is not None or service.ready(), 120,
            lambda: (home / "kafka.log").read_text()[-2000:],
        )  # fmt: skip
        assert process.poll() is None, (home / "kafka.log").read_text()[-2000:]
        _add_user(plaintext)
        yield kafka
    finally:
        process.kill()
        process.wait()
        log.close()


def _with_listeners(properties: str, kafka: SecuredKafka) -> str:
    given = dict(line.split("=", 1) for line in properties.splitlines() if line)
    more = f",SASL_SSL://{kafka.sasl_ssl},SSL://{kafka.ssl}"
    pem = kafka.certificates.folder
    jaas = "org.apache.kafka.common.security"
    given["listeners"] += more
    given["advertised.listeners"] += more
    given |= {
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"
        ),
        "inter.broker.listener.name": "PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(pem / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(kafka.certificates.ca),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            f"{jaas}.scram.ScramLoginModule required;"
        ),
        "listener.name.sasl_ssl.plain.sasl.jaas.config": (
            f'{jaas}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        ),
    }
    return "".join(f"{name}={value}\n" for name, value in given.items())


def _add_user(address: str) -> None:
    admin = AdminClient({"bootstrap.servers": address})
    credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    upsertion = UserScramCredentialUpsertion(USER, credential, PASSWORD.encode())
    admin.alter_user_scram_credentials([upsertion])[USER].result(30)
