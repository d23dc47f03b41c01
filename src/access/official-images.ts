/** Official images that are pulled most. A pattern such as `nginx/*` most likely means one of them. */
export const OFFICIAL_IMAGES: ReadonlySet<string> = new Set(
  (
    'alpine amazonlinux archlinux bash buildpack-deps busybox caddy cassandra centos consul couchdb debian docker ' +
    'eclipse-temurin elasticsearch erlang fedora flink gcc ghost golang gradle groovy haproxy hello-world httpd ' +
    'influxdb jenkins jetty joomla julia kibana kong logstash mariadb maven memcached mongo mongo-express mysql ' +
    'nats neo4j nextcloud nginx node odoo openjdk oraclelinux perl php postgres python r-base rabbitmq redis ' +
    'registry rockylinux ruby rust solr sonarqube swift telegraf tomcat traefik ubuntu vault wordpress zookeeper'
  ).split(' '),
);
