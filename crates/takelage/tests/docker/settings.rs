//! Every key below `container:`, as Docker and the container's own processes see it.

use serde_json::{Value, json};

use crate::{
    daemon::{BASE, can, docker},
    harbour::Harbour,
    need_everything,
};

const FILE: &str = "
name: e2e-settings-keys
images:
  most:
    from: BASE
    container:
      command: sleep '1000'
      capabilities: [NET_ADMIN, -CHOWN]
      tmpfs: {/scratch: 'size=1m,mode=0700'}
      volumes: ['./shared:/shared:ro', 'VOLUME:/data']
      env: {PORT: 8080, MOTTO: 'fair wind'}
      network: bridge
      user: nobody
      hostname: pier
      memory: 64MiB
      ports: ['127.0.0.1::8080', '53/udp']
      hosts: ['quay:192.0.2.1']
      security: [no-new-privileges]
      sysctls: {net.ipv4.ip_forward: 1}
      devices: ['/dev/null:/dev/nothing:r']
      shm_size: 1MiB
  host:
    from: BASE
    container: {network: host, tmpfs: [/scratch]}
  rights:
    from: BASE
    container: {privileged: true}
  alone:
    from: BASE
    container: {network: none}
";

/// A volume that goes with the test.
struct Volume(String);

impl Drop for Volume {
    fn drop(&mut self) {
        can(&["volume", "rm", "--force", &self.0]);
    }
}

#[test]
fn docker_every_key_of_a_container_counts() {
    need_everything!();
    let volume = Volume(format!("takelage-e2e-keys-{}", std::process::id()));
    let file = FILE.replace("BASE", BASE).replace("VOLUME", &volume.0);
    // The containers go first.
    let harbour = Harbour::with_file("e2e-settings-keys", &file);
    harbour.write("shared/note", "from the host");
    let created = |image: &str| {
        harbour.succeed(&["create", image]);
        format!("takelage-{}-{image}", harbour.id())
    };

    let most = created("most");
    let says = |script: &str| docker(&["exec", &most, "sh", "-c", script]);
    let asks_root = |script: &str| docker(&["exec", "--user=0", &most, "sh", "-c", script]);
    assert_eq!(asks_root("tr '\\0' ' ' < /proc/1/cmdline"), "sleep 1000");
    assert_eq!(says("id -un; hostname; echo $PORT $MOTTO"), "nobody\npier\n8080 fair wind");
    // Bits 0 (CHOWN) and 12 (NET_ADMIN) of what a process may have at most.
    let bound = says("sed -n 's/^CapBnd:\\s*//p' /proc/self/status");
    let bound = u64::from_str_radix(&bound, 16).unwrap();
    assert_eq!((bound & 1, bound >> 12 & 1), (0, 1));
    assert_eq!(says("stat -c %a /scratch; stat -f -c %T /scratch"), "700\ntmpfs");
    assert_eq!(says("cat /shared/note"), "from the host");
    assert!(!can(&["exec", "--user=0", &most, "touch", "/shared/new"]), "it is read-only");
    asks_root("touch /data/kept");
    assert_eq!(docker(&["run", "--rm", "--volume", &format!("{}:/x", volume.0), BASE, "ls", "/x"]), "kept");
    assert_eq!(says("grep -c '192.0.2.1.*quay' /etc/hosts; cat /proc/sys/net/ipv4/ip_forward"), "1\n1");
    assert_eq!(says("cat /dev/nothing; df -k --output=size /dev/shm | tail -n 1"), "1024");
    assert_eq!(asks_root("sed -n 's/^NoNewPrivs:\\s*//p' /proc/1/status"), "1");
    assert!(docker(&["port", &most, "8080/tcp"]).starts_with("127.0.0.1:"));
    assert!(!docker(&["port", &most, "53/udp"]).is_empty());
    let of_host = |container: &str, key: &str| -> Value {
        let found = docker(&["inspect", "--format", &format!("{{{{json .HostConfig.{key}}}}}"), container]);
        serde_json::from_str(&found).unwrap()
    };
    assert_eq!((of_host(&most, "Memory"), of_host(&most, "NetworkMode")), (json!(64 << 20), json!("bridge")));

    let host = created("host");
    assert_eq!(of_host(&host, "NetworkMode"), json!("host"));
    assert_eq!(docker(&["exec", &host, "stat", "-f", "-c", "%T", "/scratch"]), "tmpfs");
    if can(&["run", "--rm", "--privileged", BASE, "true"]) {
        assert_eq!(of_host(&created("rights"), "Privileged"), json!(true));
    } else {
        // This daemon has not got all rights itself, which shows that they are asked for.
        let run = harbour.run(&["create", "rights"]);
        assert!(run.status == Some(3) && run.stderr.contains("operation not permitted"), "{run}");
    }
    let alone = created("alone");
    assert_eq!(docker(&["exec", &alone, "ls", "/sys/class/net"]), "lo");
    harbour.succeed(&["destroy"]);
    harbour.assert_nothing_remains_but(&[]);
    drop(harbour);
}
