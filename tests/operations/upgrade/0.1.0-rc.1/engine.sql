SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.activity_time (
    process_key text NOT NULL,
    version_tag text NOT NULL,
    activity text NOT NULL,
    bucket smallint NOT NULL,
    count bigint NOT NULL
);
CREATE TABLE public.audit (
    id uuid NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    reason text NOT NULL
);
CREATE TABLE public.definition (
    hash text NOT NULL,
    process_key text NOT NULL,
    version_tag text NOT NULL,
    plugin text NOT NULL,
    plugin_version text NOT NULL,
    state text DEFAULT 'active'::text NOT NULL,
    seq bigint NOT NULL,
    deployed timestamp with time zone DEFAULT now() NOT NULL,
    xml text NOT NULL,
    jobs text NOT NULL,
    CONSTRAINT definition_state_check CHECK ((state = ANY (ARRAY['active'::text, 'suspended'::text])))
);
ALTER TABLE public.definition ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.definition_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.history (
    instance uuid NOT NULL,
    rev bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    entries text NOT NULL
);
CREATE TABLE public.incident (
    id uuid NOT NULL,
    instance uuid,
    job uuid,
    message uuid,
    class text NOT NULL,
    activity text,
    reason text NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    resolved timestamp with time zone,
    token uuid,
    CONSTRAINT incident_class_check CHECK ((class = ANY (ARRAY['job'::text, 'step'::text, 'bpmn-error'::text, 'write-back'::text])))
);
CREATE TABLE public.instance (
    id uuid NOT NULL,
    process_key text NOT NULL,
    version_tag text NOT NULL,
    definition text NOT NULL,
    business_key text NOT NULL,
    alternative_key text,
    requester text NOT NULL,
    status text NOT NULL,
    rev bigint NOT NULL,
    state_version smallint NOT NULL,
    state text,
    start_message uuid,
    fresh_until timestamp with time zone,
    started timestamp with time zone NOT NULL,
    ended timestamp with time zone,
    traceparent text,
    parent uuid,
    kept_until timestamp with time zone,
    CONSTRAINT instance_status_check CHECK ((status = ANY (ARRAY['active'::text, 'incident'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
)
WITH (fillfactor='80');
CREATE TABLE public.job (
    id uuid NOT NULL,
    instance uuid NOT NULL,
    activity text NOT NULL,
    kind text NOT NULL,
    stage text NOT NULL,
    claim_kind text NOT NULL,
    state text DEFAULT 'ready'::text NOT NULL,
    due timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    retry_cycle text,
    lease text,
    lease_until timestamp with time zone,
    worker text,
    payload text NOT NULL,
    send text,
    send_failure text,
    first_attempt timestamp with time zone,
    start_message uuid,
    latest_message uuid,
    traceparent text,
    created timestamp with time zone DEFAULT now() NOT NULL,
    recipient text,
    CONSTRAINT job_stage_check CHECK ((stage = ANY (ARRAY['handler'::text, 'send'::text, 'engine'::text, 'form'::text]))),
    CONSTRAINT job_state_check CHECK ((state = ANY (ARRAY['ready'::text, 'leased'::text, 'incident'::text])))
)
WITH (fillfactor='70', toast_tuple_target='512');
CREATE TABLE public.message (
    id uuid NOT NULL,
    base_url text NOT NULL,
    reference text NOT NULL,
    process_key text NOT NULL,
    version_tag text NOT NULL,
    message_name text NOT NULL,
    business_key text NOT NULL,
    correlation_key text,
    requester text NOT NULL,
    media_type text NOT NULL,
    body text NOT NULL,
    received timestamp with time zone NOT NULL,
    traceparent text,
    state text NOT NULL,
    expires timestamp with time zone,
    instance uuid,
    desired text,
    outputs text[] DEFAULT '{}'::text[] NOT NULL,
    add_business_key text,
    written text,
    written_version bigint,
    work text,
    work_due timestamp with time zone,
    work_attempts integer DEFAULT 0 NOT NULL,
    lease text,
    lease_until timestamp with time zone,
    worker text,
    CONSTRAINT message_desired_check CHECK ((desired = ANY (ARRAY['in-progress'::text, 'completed'::text, 'failed'::text, 'amended'::text]))),
    CONSTRAINT message_state_check CHECK ((state = ANY (ARRAY['held'::text, 'queued'::text, 'taken'::text, 'refused'::text]))),
    CONSTRAINT message_work_check CHECK ((work = ANY (ARRAY['ready'::text, 'leased'::text, 'incident'::text])))
)
WITH (fillfactor='70', toast_tuple_target='512');
CREATE TABLE public.pause (
    scope text NOT NULL,
    name text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT pause_scope_check CHECK ((scope = ANY (ARRAY['engine'::text, 'process'::text, 'partner'::text, 'instance'::text])))
);
CREATE TABLE public.schema_version (
    version integer NOT NULL,
    name text NOT NULL,
    checksum bigint NOT NULL,
    applied timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.start_timer (
    process_key text NOT NULL,
    version_tag text NOT NULL,
    event text NOT NULL,
    definition text NOT NULL,
    deployed timestamp with time zone NOT NULL,
    due timestamp with time zone
);
CREATE TABLE public.subscription (
    id uuid NOT NULL,
    instance uuid NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    CONSTRAINT subscription_kind_check CHECK ((kind = 'signal'::text))
);
CREATE TABLE public.timer (
    id uuid NOT NULL,
    instance uuid NOT NULL,
    activity text NOT NULL,
    due timestamp with time zone NOT NULL
);
CREATE TABLE public.user_task (
    id uuid NOT NULL,
    instance uuid NOT NULL,
    activity text NOT NULL,
    name text,
    form_key text,
    base_url text,
    reference text,
    created timestamp with time zone DEFAULT now() NOT NULL
);
INSERT INTO public.definition OVERRIDING SYSTEM VALUE VALUES
	('88505aa86f33a5d19f8e8fde551abe3d079ec19bf4e65cec82a4e97bed24b163', 'dsfdev_downloadAllowList', '1.0', 'allow-list', '1.0.0.1', 'active', 1, '2026-11-25 22:05:03.592359+00', '<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC" xmlns:di="http://www.omg.org/spec/DD/20100524/DI" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" id="definitions_dsfdev_downloadAllowList" targetNamespace="http://dsf.dev/bpmn">
  <bpmn:message id="download-message" name="downloadAllowListMessage" />
  <bpmn:process id="dsfdev_downloadAllowList" name="Download allow list" isExecutable="true" camunda:versionTag="1.0" camunda:historyTimeToLive="P30D">
    <bpmn:documentation>Reads the allow list of another site, checks that it holds nothing else, and takes it over.</bpmn:documentation>
    <bpmn:startEvent id="requested" name="download requested">
      <bpmn:outgoing>requested_to_download</bpmn:outgoing>
      <bpmn:messageEventDefinition id="download-message-start-definition" messageRef="download-message" />
    </bpmn:startEvent>
    <bpmn:serviceTask id="download" name="Download the allow list" camunda:class="allow-list/download">
      <bpmn:incoming>requested_to_download</bpmn:incoming>
      <bpmn:outgoing>download_to_check</bpmn:outgoing>
    </bpmn:serviceTask>
    <bpmn:serviceTask id="check" name="Check the allow list" camunda:class="allow-list/check">
      <bpmn:incoming>download_to_check</bpmn:incoming>
      <bpmn:outgoing>check_to_insert</bpmn:outgoing>
    </bpmn:serviceTask>
    <bpmn:serviceTask id="insert" name="Take over the allow list" camunda:class="allow-list/insert">
      <bpmn:incoming>check_to_insert</bpmn:incoming>
      <bpmn:outgoing>insert_to_taken-over</bpmn:outgoing>
    </bpmn:serviceTask>
    <bpmn:endEvent id="taken-over" name="taken over">
      <bpmn:incoming>insert_to_taken-over</bpmn:incoming>
    </bpmn:endEvent>
    <bpmn:sequenceFlow id="requested_to_download" sourceRef="requested" targetRef="download" />
    <bpmn:sequenceFlow id="download_to_check" sourceRef="download" targetRef="check" />
    <bpmn:sequenceFlow id="check_to_insert" sourceRef="check" targetRef="insert" />
    <bpmn:sequenceFlow id="insert_to_taken-over" sourceRef="insert" targetRef="taken-over" />
  </bpmn:process>
  <bpmndi:BPMNDiagram id="diagram_dsfdev_downloadAllowList">
    <bpmndi:BPMNPlane id="plane_dsfdev_downloadAllowList" bpmnElement="dsfdev_downloadAllowList">
      <bpmndi:BPMNShape id="requested_shape" bpmnElement="requested">
        <dc:Bounds x="132" y="182" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="download_shape" bpmnElement="download">
        <dc:Bounds x="220" y="160" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="check_shape" bpmnElement="check">
        <dc:Bounds x="390" y="160" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="insert_shape" bpmnElement="insert">
        <dc:Bounds x="560" y="160" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="taken-over_shape" bpmnElement="taken-over">
        <dc:Bounds x="732" y="182" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNEdge id="requested_to_download_edge" bpmnElement="requested_to_download">
        <di:waypoint x="168" y="200" />
        <di:waypoint x="220" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="download_to_check_edge" bpmnElement="download_to_check">
        <di:waypoint x="340" y="200" />
        <di:waypoint x="390" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="check_to_insert_edge" bpmnElement="check_to_insert">
        <di:waypoint x="510" y="200" />
        <di:waypoint x="560" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="insert_to_taken-over_edge" bpmnElement="insert_to_taken-over">
        <di:waypoint x="680" y="200" />
        <di:waypoint x="732" y="200" />
      </bpmndi:BPMNEdge>
    </bpmndi:BPMNPlane>
  </bpmndi:BPMNDiagram>
</bpmn:definitions>
', '{"allow-list/check":{"job":"allow-list/1.0/check","inputs":["bundle"]},"allow-list/download":{"job":"allow-list/1.0/download","inputs":[]},"allow-list/insert":{"job":"allow-list/1.0/insert","inputs":["bundle"]},"allow-list/publish":{"job":"allow-list/1.0/publish","inputs":[]}}'),
	('37a3dd15462de809c9ee0ab0bf4aca29b59346fa541e63ce73c4ec6ec9dca33b', 'dsfdev_updateAllowList', '1.0', 'allow-list', '1.0.0.1', 'active', 2, '2026-11-25 22:05:03.592359+00', '<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC" xmlns:di="http://www.omg.org/spec/DD/20100524/DI" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" id="definitions_dsfdev_updateAllowList" targetNamespace="http://dsf.dev/bpmn">
  <bpmn:message id="update-message" name="updateAllowList" />
  <bpmn:process id="dsfdev_updateAllowList" name="Update allow list" isExecutable="true" camunda:versionTag="1.0" camunda:historyTimeToLive="P30D">
    <bpmn:documentation>Publishes the organizations, endpoints and memberships of this site as one Bundle that other sites may download.</bpmn:documentation>
    <bpmn:startEvent id="requested" name="update requested">
      <bpmn:outgoing>requested_to_publish</bpmn:outgoing>
      <bpmn:messageEventDefinition id="update-message-start-definition" messageRef="update-message" />
    </bpmn:startEvent>
    <bpmn:serviceTask id="publish" name="Collect and publish the allow list" camunda:class="allow-list/publish">
      <bpmn:incoming>requested_to_publish</bpmn:incoming>
      <bpmn:outgoing>publish_to_published</bpmn:outgoing>
    </bpmn:serviceTask>
    <bpmn:endEvent id="published" name="published">
      <bpmn:incoming>publish_to_published</bpmn:incoming>
    </bpmn:endEvent>
    <bpmn:sequenceFlow id="requested_to_publish" sourceRef="requested" targetRef="publish" />
    <bpmn:sequenceFlow id="publish_to_published" sourceRef="publish" targetRef="published" />
  </bpmn:process>
  <bpmndi:BPMNDiagram id="diagram_dsfdev_updateAllowList">
    <bpmndi:BPMNPlane id="plane_dsfdev_updateAllowList" bpmnElement="dsfdev_updateAllowList">
      <bpmndi:BPMNShape id="requested_shape" bpmnElement="requested">
        <dc:Bounds x="132" y="182" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="publish_shape" bpmnElement="publish">
        <dc:Bounds x="220" y="160" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="published_shape" bpmnElement="published">
        <dc:Bounds x="382" y="182" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNEdge id="requested_to_publish_edge" bpmnElement="requested_to_publish">
        <di:waypoint x="168" y="200" />
        <di:waypoint x="220" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="publish_to_published_edge" bpmnElement="publish_to_published">
        <di:waypoint x="340" y="200" />
        <di:waypoint x="382" y="200" />
      </bpmndi:BPMNEdge>
    </bpmndi:BPMNPlane>
  </bpmndi:BPMNDiagram>
</bpmn:definitions>
', '{"allow-list/check":{"job":"allow-list/1.0/check","inputs":["bundle"]},"allow-list/download":{"job":"allow-list/1.0/download","inputs":[]},"allow-list/insert":{"job":"allow-list/1.0/insert","inputs":["bundle"]},"allow-list/publish":{"job":"allow-list/1.0/publish","inputs":[]}}'),
	('eff3f0b1f025ed86b000bd2bd9976a8363b6704fe0f30ef5c7f17915b66be852', 'dsfdev_pingAutostart', '1.0', 'ping-pong', '1.0.1.0', 'active', 3, '2026-11-25 22:05:03.951646+00', '<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC" xmlns:di="http://www.omg.org/spec/DD/20100524/DI" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" id="definitions_dsfdev_pingAutostart" targetNamespace="http://dsf.dev/bpmn">
  <bpmn:message id="start-message" name="startPingAutostart" />
  <bpmn:message id="stop-message" name="stopPingAutostart" />
  <bpmn:signal id="stop-signal" name="stop_dsfdev_pingAutostart_1.0" />
  <bpmn:process id="dsfdev_pingAutostart" name="Ping autostart" isExecutable="true" camunda:versionTag="1.0" camunda:historyTimeToLive="P30D">
    <bpmn:documentation>Starts the ping process at once and then again in an interval, until it is stopped or started anew.</bpmn:documentation>
    <bpmn:startEvent id="start-requested" name="start requested">
      <bpmn:outgoing>start-requested_to_stop-others</bpmn:outgoing>
      <bpmn:messageEventDefinition id="start-message-start-definition" messageRef="start-message" />
    </bpmn:startEvent>
    <bpmn:intermediateThrowEvent id="stop-others" name="stop earlier instances">
      <bpmn:incoming>start-requested_to_stop-others</bpmn:incoming>
      <bpmn:outgoing>stop-others_to_configure</bpmn:outgoing>
      <bpmn:signalEventDefinition id="stop-others-definition" signalRef="stop-signal" />
    </bpmn:intermediateThrowEvent>
    <bpmn:serviceTask id="configure" name="Set receiver and interval" camunda:class="ping-pong/configure-autostart">
      <bpmn:incoming>stop-others_to_configure</bpmn:incoming>
      <bpmn:outgoing>configure_to_again</bpmn:outgoing>
    </bpmn:serviceTask>
    <bpmn:exclusiveGateway id="again">
      <bpmn:incoming>configure_to_again</bpmn:incoming>
      <bpmn:incoming>interval-over_to_again</bpmn:incoming>
      <bpmn:outgoing>again_to_start-ping</bpmn:outgoing>
    </bpmn:exclusiveGateway>
    <bpmn:intermediateThrowEvent id="start-ping" name="startPing">
      <bpmn:incoming>again_to_start-ping</bpmn:incoming>
      <bpmn:outgoing>start-ping_to_wait</bpmn:outgoing>
      <bpmn:messageEventDefinition id="send-start-ping-definition" camunda:class="ping-pong/send-start-ping">
        <bpmn:extensionElements>
          <camunda:field name="instantiatesCanonical"><camunda:string>http://dsf.dev/bpe/Process/ping|1.0</camunda:string></camunda:field>
          <camunda:field name="profile"><camunda:string>http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0</camunda:string></camunda:field>
          <camunda:field name="messageName"><camunda:string>startPing</camunda:string></camunda:field>
        </bpmn:extensionElements>
      </bpmn:messageEventDefinition>
    </bpmn:intermediateThrowEvent>
    <bpmn:eventBasedGateway id="wait" name="interval or stop">
      <bpmn:incoming>start-ping_to_wait</bpmn:incoming>
      <bpmn:outgoing>wait_to_interval-over</bpmn:outgoing>
      <bpmn:outgoing>wait_to_stopped</bpmn:outgoing>
    </bpmn:eventBasedGateway>
    <bpmn:intermediateCatchEvent id="interval-over" name="interval over">
      <bpmn:incoming>wait_to_interval-over</bpmn:incoming>
      <bpmn:outgoing>interval-over_to_again</bpmn:outgoing>
      <bpmn:timerEventDefinition id="interval-over-definition">
        <bpmn:timeDuration xsi:type="bpmn:tFormalExpression">${timerInterval}</bpmn:timeDuration>
      </bpmn:timerEventDefinition>
    </bpmn:intermediateCatchEvent>
    <bpmn:intermediateCatchEvent id="stopped" name="stop">
      <bpmn:incoming>wait_to_stopped</bpmn:incoming>
      <bpmn:outgoing>stopped_to_ended</bpmn:outgoing>
      <bpmn:signalEventDefinition id="stopped-definition" signalRef="stop-signal" />
    </bpmn:intermediateCatchEvent>
    <bpmn:endEvent id="ended" name="stopped">
      <bpmn:incoming>stopped_to_ended</bpmn:incoming>
    </bpmn:endEvent>
    <bpmn:startEvent id="stop-requested" name="stop requested">
      <bpmn:outgoing>stop-requested_to_stop-all</bpmn:outgoing>
      <bpmn:messageEventDefinition id="stop-message-start-definition" messageRef="stop-message" />
    </bpmn:startEvent>
    <bpmn:endEvent id="stop-all" name="stop all instances">
      <bpmn:incoming>stop-requested_to_stop-all</bpmn:incoming>
      <bpmn:signalEventDefinition id="stop-all-definition" signalRef="stop-signal" />
    </bpmn:endEvent>
    <bpmn:sequenceFlow id="start-requested_to_stop-others" sourceRef="start-requested" targetRef="stop-others" />
    <bpmn:sequenceFlow id="stop-others_to_configure" sourceRef="stop-others" targetRef="configure" />
    <bpmn:sequenceFlow id="configure_to_again" sourceRef="configure" targetRef="again" />
    <bpmn:sequenceFlow id="again_to_start-ping" sourceRef="again" targetRef="start-ping" />
    <bpmn:sequenceFlow id="start-ping_to_wait" sourceRef="start-ping" targetRef="wait" />
    <bpmn:sequenceFlow id="wait_to_interval-over" sourceRef="wait" targetRef="interval-over" />
    <bpmn:sequenceFlow id="wait_to_stopped" sourceRef="wait" targetRef="stopped" />
    <bpmn:sequenceFlow id="interval-over_to_again" sourceRef="interval-over" targetRef="again" />
    <bpmn:sequenceFlow id="stopped_to_ended" sourceRef="stopped" targetRef="ended" />
    <bpmn:sequenceFlow id="stop-requested_to_stop-all" sourceRef="stop-requested" targetRef="stop-all" />
  </bpmn:process>
  <bpmndi:BPMNDiagram id="diagram_dsfdev_pingAutostart">
    <bpmndi:BPMNPlane id="plane_dsfdev_pingAutostart" bpmnElement="dsfdev_pingAutostart">
      <bpmndi:BPMNShape id="start-requested_shape" bpmnElement="start-requested">
        <dc:Bounds x="132" y="182" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="stop-others_shape" bpmnElement="stop-others">
        <dc:Bounds x="222" y="182" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="configure_shape" bpmnElement="configure">
        <dc:Bounds x="300" y="160" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="again_shape" bpmnElement="again" isMarkerVisible="true">
        <dc:Bounds x="465" y="175" width="50" height="50" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="start-ping_shape" bpmnElement="start-ping">
        <dc:Bounds x="562" y="182" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="wait_shape" bpmnElement="wait">
        <dc:Bounds x="655" y="175" width="50" height="50" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="interval-over_shape" bpmnElement="interval-over">
        <dc:Bounds x="762" y="182" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="stopped_shape" bpmnElement="stopped">
        <dc:Bounds x="762" y="282" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="ended_shape" bpmnElement="ended">
        <dc:Bounds x="862" y="282" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="stop-requested_shape" bpmnElement="stop-requested">
        <dc:Bounds x="132" y="382" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="stop-all_shape" bpmnElement="stop-all">
        <dc:Bounds x="262" y="382" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNEdge id="start-requested_to_stop-others_edge" bpmnElement="start-requested_to_stop-others">
        <di:waypoint x="168" y="200" />
        <di:waypoint x="222" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="stop-others_to_configure_edge" bpmnElement="stop-others_to_configure">
        <di:waypoint x="258" y="200" />
        <di:waypoint x="300" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="configure_to_again_edge" bpmnElement="configure_to_again">
        <di:waypoint x="420" y="200" />
        <di:waypoint x="465" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="again_to_start-ping_edge" bpmnElement="again_to_start-ping">
        <di:waypoint x="515" y="200" />
        <di:waypoint x="562" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="start-ping_to_wait_edge" bpmnElement="start-ping_to_wait">
        <di:waypoint x="598" y="200" />
        <di:waypoint x="655" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="wait_to_interval-over_edge" bpmnElement="wait_to_interval-over">
        <di:waypoint x="705" y="200" />
        <di:waypoint x="762" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="wait_to_stopped_edge" bpmnElement="wait_to_stopped">
        <di:waypoint x="680" y="225" />
        <di:waypoint x="680" y="300" />
        <di:waypoint x="762" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="interval-over_to_again_edge" bpmnElement="interval-over_to_again">
        <di:waypoint x="780" y="182" />
        <di:waypoint x="780" y="115" />
        <di:waypoint x="490" y="115" />
        <di:waypoint x="490" y="175" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="stopped_to_ended_edge" bpmnElement="stopped_to_ended">
        <di:waypoint x="798" y="300" />
        <di:waypoint x="862" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="stop-requested_to_stop-all_edge" bpmnElement="stop-requested_to_stop-all">
        <di:waypoint x="168" y="400" />
        <di:waypoint x="262" y="400" />
      </bpmndi:BPMNEdge>
    </bpmndi:BPMNPlane>
  </bpmndi:BPMNDiagram>
</bpmn:definitions>
', '{"ping-pong/configure-autostart":{"job":"ping-pong/1.0/configure-autostart","inputs":[]},"ping-pong/note-ping":{"inline":{}},"ping-pong/note-pong":{"inline":{"statusCode_${target.correlationKey}":"pong-received"}},"ping-pong/note-send-error":{"inline":{"errorMessage_${target.correlationKey}":"${errorMessage}","statusCode_${target.correlationKey}":"${statusCode}"}},"ping-pong/note-silence":{"inline":{"statusCode_${target.correlationKey}":"pong-missing"}},"ping-pong/save-results":{"job":"ping-pong/1.0/save-results"},"ping-pong/select-sender":{"job":"ping-pong/1.0/select-sender","inputs":[]},"ping-pong/select-targets":{"job":"ping-pong/1.0/select-targets","inputs":[]},"ping-pong/send-ping":{"job":"ping-pong/1.0/send-ping","inputs":["target"]},"ping-pong/send-pong":{"job":"ping-pong/1.0/send-pong","inputs":["target"]},"ping-pong/send-start-ping":{"job":"ping-pong/1.0/send-start-ping","inputs":["target"]}}'),
	('77b8da26d63593863007e815cf39a40515b19de4f728c541ab3607c3a5788954', 'dsfdev_ping', '1.0', 'ping-pong', '1.0.1.0', 'active', 4, '2026-11-25 22:05:03.951646+00', '<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC" xmlns:di="http://www.omg.org/spec/DD/20100524/DI" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" id="definitions_dsfdev_ping" targetNamespace="http://dsf.dev/bpmn">
  <bpmn:message id="start-ping-message" name="startPing" />
  <bpmn:message id="pong-message" name="pong" />
  <bpmn:process id="dsfdev_ping" name="Ping" isExecutable="true" camunda:versionTag="1.0" camunda:historyTimeToLive="P30D">
    <bpmn:documentation>Sends a ping to every selected endpoint, waits for the pong of each, and writes one status per endpoint into the Task that started it.</bpmn:documentation>
    <bpmn:startEvent id="requested" name="ping requested">
      <bpmn:outgoing>requested_to_select-targets</bpmn:outgoing>
      <bpmn:messageEventDefinition id="start-ping-message-start-definition" messageRef="start-ping-message" />
    </bpmn:startEvent>
    <bpmn:serviceTask id="select-targets" name="Select endpoints to ping" camunda:class="ping-pong/select-targets">
      <bpmn:incoming>requested_to_select-targets</bpmn:incoming>
      <bpmn:outgoing>select-targets_to_each-target</bpmn:outgoing>
    </bpmn:serviceTask>
    <bpmn:subProcess id="each-target" name="One endpoint">
      <bpmn:incoming>select-targets_to_each-target</bpmn:incoming>
      <bpmn:outgoing>each-target_to_save-results</bpmn:outgoing>
      <bpmn:multiInstanceLoopCharacteristics camunda:collection="${targets.entries}" camunda:elementVariable="target" />
      <bpmn:startEvent id="target-begins" name="endpoint selected">
        <bpmn:outgoing>target-begins_to_send-ping</bpmn:outgoing>
      </bpmn:startEvent>
      <bpmn:intermediateThrowEvent id="send-ping" name="ping">
        <bpmn:incoming>target-begins_to_send-ping</bpmn:incoming>
        <bpmn:outgoing>send-ping_to_sent</bpmn:outgoing>
        <bpmn:messageEventDefinition id="send-ping-definition" camunda:class="ping-pong/send-ping">
          <bpmn:extensionElements>
            <camunda:field name="instantiatesCanonical"><camunda:string>http://dsf.dev/bpe/Process/pong|1.0</camunda:string></camunda:field>
            <camunda:field name="profile"><camunda:string>http://dsf.dev/fhir/StructureDefinition/task-ping|1.0</camunda:string></camunda:field>
            <camunda:field name="messageName"><camunda:string>ping</camunda:string></camunda:field>
          </bpmn:extensionElements>
        </bpmn:messageEventDefinition>
      </bpmn:intermediateThrowEvent>
      <bpmn:exclusiveGateway id="sent" name="sent?" default="sent_to_await-answer">
        <bpmn:incoming>send-ping_to_sent</bpmn:incoming>
        <bpmn:outgoing>sent_to_await-answer</bpmn:outgoing>
        <bpmn:outgoing>sent_to_note-send-error</bpmn:outgoing>
      </bpmn:exclusiveGateway>
      <bpmn:eventBasedGateway id="await-answer" name="answer or time-out">
        <bpmn:extensionElements>
          <camunda:executionListener class="ping-pong/SetCorrelationKeyListener" event="start" />
        </bpmn:extensionElements>
        <bpmn:incoming>sent_to_await-answer</bpmn:incoming>
        <bpmn:outgoing>await-answer_to_pong-received</bpmn:outgoing>
        <bpmn:outgoing>await-answer_to_time-out</bpmn:outgoing>
      </bpmn:eventBasedGateway>
      <bpmn:intermediateCatchEvent id="pong-received" name="pong">
        <bpmn:incoming>await-answer_to_pong-received</bpmn:incoming>
        <bpmn:outgoing>pong-received_to_note-pong</bpmn:outgoing>
        <bpmn:messageEventDefinition id="pong-received-definition" messageRef="pong-message" />
      </bpmn:intermediateCatchEvent>
      <bpmn:intermediateCatchEvent id="time-out" name="20 seconds">
        <bpmn:incoming>await-answer_to_time-out</bpmn:incoming>
        <bpmn:outgoing>time-out_to_note-silence</bpmn:outgoing>
        <bpmn:timerEventDefinition id="time-out-definition">
          <bpmn:timeDuration xsi:type="bpmn:tFormalExpression">PT20S</bpmn:timeDuration>
        </bpmn:timerEventDefinition>
      </bpmn:intermediateCatchEvent>
      <bpmn:serviceTask id="note-pong" name="Note: pong received" camunda:class="ping-pong/note-pong">
        <bpmn:incoming>pong-received_to_note-pong</bpmn:incoming>
        <bpmn:outgoing>note-pong_to_noted</bpmn:outgoing>
      </bpmn:serviceTask>
      <bpmn:serviceTask id="note-silence" name="Note: no answer" camunda:class="ping-pong/note-silence">
        <bpmn:incoming>time-out_to_note-silence</bpmn:incoming>
        <bpmn:outgoing>note-silence_to_noted</bpmn:outgoing>
      </bpmn:serviceTask>
      <bpmn:serviceTask id="note-send-error" name="Note: not sent" camunda:class="ping-pong/note-send-error">
        <bpmn:incoming>sent_to_note-send-error</bpmn:incoming>
        <bpmn:outgoing>note-send-error_to_noted</bpmn:outgoing>
      </bpmn:serviceTask>
      <bpmn:exclusiveGateway id="noted">
        <bpmn:incoming>note-pong_to_noted</bpmn:incoming>
        <bpmn:incoming>note-silence_to_noted</bpmn:incoming>
        <bpmn:incoming>note-send-error_to_noted</bpmn:incoming>
        <bpmn:outgoing>noted_to_target-done</bpmn:outgoing>
      </bpmn:exclusiveGateway>
      <bpmn:endEvent id="target-done" name="endpoint done">
        <bpmn:incoming>noted_to_target-done</bpmn:incoming>
      </bpmn:endEvent>
      <bpmn:sequenceFlow id="target-begins_to_send-ping" sourceRef="target-begins" targetRef="send-ping" />
      <bpmn:sequenceFlow id="send-ping_to_sent" sourceRef="send-ping" targetRef="sent" />
      <bpmn:sequenceFlow id="sent_to_await-answer" name="yes" sourceRef="sent" targetRef="await-answer" />
      <bpmn:sequenceFlow id="await-answer_to_pong-received" sourceRef="await-answer" targetRef="pong-received" />
      <bpmn:sequenceFlow id="await-answer_to_time-out" sourceRef="await-answer" targetRef="time-out" />
      <bpmn:sequenceFlow id="pong-received_to_note-pong" sourceRef="pong-received" targetRef="note-pong" />
      <bpmn:sequenceFlow id="time-out_to_note-silence" sourceRef="time-out" targetRef="note-silence" />
      <bpmn:sequenceFlow id="note-pong_to_noted" sourceRef="note-pong" targetRef="noted" />
      <bpmn:sequenceFlow id="note-silence_to_noted" sourceRef="note-silence" targetRef="noted" />
      <bpmn:sequenceFlow id="note-send-error_to_noted" sourceRef="note-send-error" targetRef="noted" />
      <bpmn:sequenceFlow id="noted_to_target-done" sourceRef="noted" targetRef="target-done" />
      <bpmn:sequenceFlow id="sent_to_note-send-error" name="no" sourceRef="sent" targetRef="note-send-error">
        <bpmn:conditionExpression xsi:type="bpmn:tFormalExpression">${execution.hasVariable(''statusCode'')}</bpmn:conditionExpression>
      </bpmn:sequenceFlow>
    </bpmn:subProcess>
    <bpmn:serviceTask id="save-results" name="Write the results into the Task" camunda:class="ping-pong/save-results">
      <bpmn:incoming>each-target_to_save-results</bpmn:incoming>
      <bpmn:outgoing>save-results_to_done</bpmn:outgoing>
    </bpmn:serviceTask>
    <bpmn:endEvent id="done" name="done">
      <bpmn:incoming>save-results_to_done</bpmn:incoming>
    </bpmn:endEvent>
    <bpmn:sequenceFlow id="requested_to_select-targets" sourceRef="requested" targetRef="select-targets" />
    <bpmn:sequenceFlow id="select-targets_to_each-target" sourceRef="select-targets" targetRef="each-target" />
    <bpmn:sequenceFlow id="each-target_to_save-results" sourceRef="each-target" targetRef="save-results" />
    <bpmn:sequenceFlow id="save-results_to_done" sourceRef="save-results" targetRef="done" />
  </bpmn:process>
  <bpmndi:BPMNDiagram id="diagram_dsfdev_ping">
    <bpmndi:BPMNPlane id="plane_dsfdev_ping" bpmnElement="dsfdev_ping">
      <bpmndi:BPMNShape id="requested_shape" bpmnElement="requested">
        <dc:Bounds x="132" y="282" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="select-targets_shape" bpmnElement="select-targets">
        <dc:Bounds x="220" y="260" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="each-target_shape" bpmnElement="each-target" isExpanded="true">
        <dc:Bounds x="380" y="100" width="860" height="400" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="target-begins_shape" bpmnElement="target-begins">
        <dc:Bounds x="412" y="282" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="send-ping_shape" bpmnElement="send-ping">
        <dc:Bounds x="492" y="282" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="sent_shape" bpmnElement="sent" isMarkerVisible="true">
        <dc:Bounds x="575" y="275" width="50" height="50" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="await-answer_shape" bpmnElement="await-answer">
        <dc:Bounds x="695" y="275" width="50" height="50" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="pong-received_shape" bpmnElement="pong-received">
        <dc:Bounds x="812" y="202" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="time-out_shape" bpmnElement="time-out">
        <dc:Bounds x="812" y="282" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="note-pong_shape" bpmnElement="note-pong">
        <dc:Bounds x="890" y="160" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="note-silence_shape" bpmnElement="note-silence">
        <dc:Bounds x="890" y="260" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="note-send-error_shape" bpmnElement="note-send-error">
        <dc:Bounds x="890" y="380" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="noted_shape" bpmnElement="noted" isMarkerVisible="true">
        <dc:Bounds x="1055" y="275" width="50" height="50" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="target-done_shape" bpmnElement="target-done">
        <dc:Bounds x="1162" y="282" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="save-results_shape" bpmnElement="save-results">
        <dc:Bounds x="1280" y="260" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="done_shape" bpmnElement="done">
        <dc:Bounds x="1442" y="282" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNEdge id="requested_to_select-targets_edge" bpmnElement="requested_to_select-targets">
        <di:waypoint x="168" y="300" />
        <di:waypoint x="220" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="select-targets_to_each-target_edge" bpmnElement="select-targets_to_each-target">
        <di:waypoint x="340" y="300" />
        <di:waypoint x="380" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="each-target_to_save-results_edge" bpmnElement="each-target_to_save-results">
        <di:waypoint x="1240" y="300" />
        <di:waypoint x="1280" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="save-results_to_done_edge" bpmnElement="save-results_to_done">
        <di:waypoint x="1400" y="300" />
        <di:waypoint x="1442" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="target-begins_to_send-ping_edge" bpmnElement="target-begins_to_send-ping">
        <di:waypoint x="448" y="300" />
        <di:waypoint x="492" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="send-ping_to_sent_edge" bpmnElement="send-ping_to_sent">
        <di:waypoint x="528" y="300" />
        <di:waypoint x="575" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="sent_to_await-answer_edge" bpmnElement="sent_to_await-answer">
        <di:waypoint x="625" y="300" />
        <di:waypoint x="695" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="await-answer_to_pong-received_edge" bpmnElement="await-answer_to_pong-received">
        <di:waypoint x="720" y="275" />
        <di:waypoint x="720" y="220" />
        <di:waypoint x="812" y="220" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="await-answer_to_time-out_edge" bpmnElement="await-answer_to_time-out">
        <di:waypoint x="745" y="300" />
        <di:waypoint x="812" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="pong-received_to_note-pong_edge" bpmnElement="pong-received_to_note-pong">
        <di:waypoint x="848" y="220" />
        <di:waypoint x="950" y="220" />
        <di:waypoint x="950" y="240" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="time-out_to_note-silence_edge" bpmnElement="time-out_to_note-silence">
        <di:waypoint x="848" y="300" />
        <di:waypoint x="890" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="note-pong_to_noted_edge" bpmnElement="note-pong_to_noted">
        <di:waypoint x="1010" y="200" />
        <di:waypoint x="1080" y="200" />
        <di:waypoint x="1080" y="275" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="note-silence_to_noted_edge" bpmnElement="note-silence_to_noted">
        <di:waypoint x="1010" y="300" />
        <di:waypoint x="1055" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="note-send-error_to_noted_edge" bpmnElement="note-send-error_to_noted">
        <di:waypoint x="1010" y="420" />
        <di:waypoint x="1080" y="420" />
        <di:waypoint x="1080" y="325" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="noted_to_target-done_edge" bpmnElement="noted_to_target-done">
        <di:waypoint x="1105" y="300" />
        <di:waypoint x="1162" y="300" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="sent_to_note-send-error_edge" bpmnElement="sent_to_note-send-error">
        <di:waypoint x="600" y="325" />
        <di:waypoint x="600" y="420" />
        <di:waypoint x="890" y="420" />
      </bpmndi:BPMNEdge>
    </bpmndi:BPMNPlane>
  </bpmndi:BPMNDiagram>
</bpmn:definitions>
', '{"ping-pong/configure-autostart":{"job":"ping-pong/1.0/configure-autostart","inputs":[]},"ping-pong/note-ping":{"inline":{}},"ping-pong/note-pong":{"inline":{"statusCode_${target.correlationKey}":"pong-received"}},"ping-pong/note-send-error":{"inline":{"errorMessage_${target.correlationKey}":"${errorMessage}","statusCode_${target.correlationKey}":"${statusCode}"}},"ping-pong/note-silence":{"inline":{"statusCode_${target.correlationKey}":"pong-missing"}},"ping-pong/save-results":{"job":"ping-pong/1.0/save-results"},"ping-pong/select-sender":{"job":"ping-pong/1.0/select-sender","inputs":[]},"ping-pong/select-targets":{"job":"ping-pong/1.0/select-targets","inputs":[]},"ping-pong/send-ping":{"job":"ping-pong/1.0/send-ping","inputs":["target"]},"ping-pong/send-pong":{"job":"ping-pong/1.0/send-pong","inputs":["target"]},"ping-pong/send-start-ping":{"job":"ping-pong/1.0/send-start-ping","inputs":["target"]}}'),
	('e6efde86786ae0e5d766671e37f4e8d41d51210571bb0ccf5bb227548b0e3078', 'dsfdev_pong', '1.0', 'ping-pong', '1.0.1.0', 'active', 5, '2026-11-25 22:05:03.951646+00', '<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC" xmlns:di="http://www.omg.org/spec/DD/20100524/DI" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" id="definitions_dsfdev_pong" targetNamespace="http://dsf.dev/bpmn">
  <bpmn:message id="ping-message" name="ping" />
  <bpmn:error id="target-not-allowed" name="target_not_allowed" errorCode="target_not_allowed" />
  <bpmn:process id="dsfdev_pong" name="Pong" isExecutable="true" camunda:versionTag="1.0" camunda:historyTimeToLive="P30D">
    <bpmn:documentation>Answers a ping with a pong to the endpoint that the ping names, if the allow list knows that endpoint.</bpmn:documentation>
    <bpmn:startEvent id="ping-received" name="ping">
      <bpmn:outgoing>ping-received_to_note-ping</bpmn:outgoing>
      <bpmn:messageEventDefinition id="ping-message-start-definition" messageRef="ping-message" />
    </bpmn:startEvent>
    <bpmn:serviceTask id="note-ping" name="Note the ping" camunda:class="ping-pong/note-ping">
      <bpmn:incoming>ping-received_to_note-ping</bpmn:incoming>
      <bpmn:outgoing>note-ping_to_select-sender</bpmn:outgoing>
    </bpmn:serviceTask>
    <bpmn:serviceTask id="select-sender" name="Look up the sender" camunda:class="ping-pong/select-sender">
      <bpmn:incoming>note-ping_to_select-sender</bpmn:incoming>
      <bpmn:outgoing>select-sender_to_pong-sent</bpmn:outgoing>
    </bpmn:serviceTask>
    <bpmn:boundaryEvent id="sender-unknown" name="sender not in allow list" attachedToRef="select-sender">
      <bpmn:outgoing>sender-unknown_to_not-answered</bpmn:outgoing>
      <bpmn:errorEventDefinition id="sender-unknown-definition" errorRef="target-not-allowed" />
    </bpmn:boundaryEvent>
    <bpmn:endEvent id="pong-sent" name="pong">
      <bpmn:incoming>select-sender_to_pong-sent</bpmn:incoming>
      <bpmn:messageEventDefinition id="send-pong-definition" camunda:class="ping-pong/send-pong">
        <bpmn:extensionElements>
          <camunda:field name="instantiatesCanonical"><camunda:string>http://dsf.dev/bpe/Process/ping|1.0</camunda:string></camunda:field>
          <camunda:field name="profile"><camunda:string>http://dsf.dev/fhir/StructureDefinition/task-pong|1.0</camunda:string></camunda:field>
          <camunda:field name="messageName"><camunda:string>pong</camunda:string></camunda:field>
        </bpmn:extensionElements>
      </bpmn:messageEventDefinition>
    </bpmn:endEvent>
    <bpmn:endEvent id="not-answered" name="not answered">
      <bpmn:incoming>sender-unknown_to_not-answered</bpmn:incoming>
    </bpmn:endEvent>
    <bpmn:sequenceFlow id="ping-received_to_note-ping" sourceRef="ping-received" targetRef="note-ping" />
    <bpmn:sequenceFlow id="note-ping_to_select-sender" sourceRef="note-ping" targetRef="select-sender" />
    <bpmn:sequenceFlow id="select-sender_to_pong-sent" sourceRef="select-sender" targetRef="pong-sent" />
    <bpmn:sequenceFlow id="sender-unknown_to_not-answered" sourceRef="sender-unknown" targetRef="not-answered" />
  </bpmn:process>
  <bpmndi:BPMNDiagram id="diagram_dsfdev_pong">
    <bpmndi:BPMNPlane id="plane_dsfdev_pong" bpmnElement="dsfdev_pong">
      <bpmndi:BPMNShape id="ping-received_shape" bpmnElement="ping-received">
        <dc:Bounds x="132" y="182" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="note-ping_shape" bpmnElement="note-ping">
        <dc:Bounds x="220" y="160" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="select-sender_shape" bpmnElement="select-sender">
        <dc:Bounds x="390" y="160" width="120" height="80" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="sender-unknown_shape" bpmnElement="sender-unknown">
        <dc:Bounds x="452" y="222" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="pong-sent_shape" bpmnElement="pong-sent">
        <dc:Bounds x="582" y="182" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNShape id="not-answered_shape" bpmnElement="not-answered">
        <dc:Bounds x="582" y="322" width="36" height="36" />
      </bpmndi:BPMNShape>
      <bpmndi:BPMNEdge id="ping-received_to_note-ping_edge" bpmnElement="ping-received_to_note-ping">
        <di:waypoint x="168" y="200" />
        <di:waypoint x="220" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="note-ping_to_select-sender_edge" bpmnElement="note-ping_to_select-sender">
        <di:waypoint x="340" y="200" />
        <di:waypoint x="390" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="select-sender_to_pong-sent_edge" bpmnElement="select-sender_to_pong-sent">
        <di:waypoint x="510" y="200" />
        <di:waypoint x="582" y="200" />
      </bpmndi:BPMNEdge>
      <bpmndi:BPMNEdge id="sender-unknown_to_not-answered_edge" bpmnElement="sender-unknown_to_not-answered">
        <di:waypoint x="470" y="258" />
        <di:waypoint x="470" y="340" />
        <di:waypoint x="582" y="340" />
      </bpmndi:BPMNEdge>
    </bpmndi:BPMNPlane>
  </bpmndi:BPMNDiagram>
</bpmn:definitions>
', '{"ping-pong/configure-autostart":{"job":"ping-pong/1.0/configure-autostart","inputs":[]},"ping-pong/note-ping":{"inline":{}},"ping-pong/note-pong":{"inline":{"statusCode_${target.correlationKey}":"pong-received"}},"ping-pong/note-send-error":{"inline":{"errorMessage_${target.correlationKey}":"${errorMessage}","statusCode_${target.correlationKey}":"${statusCode}"}},"ping-pong/note-silence":{"inline":{"statusCode_${target.correlationKey}":"pong-missing"}},"ping-pong/save-results":{"job":"ping-pong/1.0/save-results"},"ping-pong/select-sender":{"job":"ping-pong/1.0/select-sender","inputs":[]},"ping-pong/select-targets":{"job":"ping-pong/1.0/select-targets","inputs":[]},"ping-pong/send-ping":{"job":"ping-pong/1.0/send-ping","inputs":["target"]},"ping-pong/send-pong":{"job":"ping-pong/1.0/send-pong","inputs":["target"]},"ping-pong/send-start-ping":{"job":"ping-pong/1.0/send-start-ping","inputs":["target"]}}');
INSERT INTO public.history VALUES
	('01a214bd-ab03-714a-8553-d10544d0bbac', 1, '2026-11-25 22:05:04.129689+00', '[{"at":"2026-11-25T22:05:04.129689Z","what":"start","activity":"dsfdev_ping","detail":{"kind":"process"}},{"at":"2026-11-25T22:05:04.129689Z","what":"start","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-25T22:05:04.129689Z","what":"end","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-25T22:05:04.129689Z","what":"start","activity":"select-targets","detail":{"kind":"serviceTask"}}]'),
	('01a214bd-ab0e-75ea-a5a3-b1de616ba5ed', 1, '2026-11-25 22:05:04.141907+00', '[{"at":"2026-11-25T22:05:04.141907Z","what":"start","activity":"dsfdev_ping","detail":{"kind":"process"}},{"at":"2026-11-25T22:05:04.141907Z","what":"start","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-25T22:05:04.141907Z","what":"end","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-25T22:05:04.141907Z","what":"start","activity":"select-targets","detail":{"kind":"serviceTask"}}]'),
	('01a214bd-ab15-70ef-b09c-724abc102ee2', 1, '2026-11-25 22:05:04.148687+00', '[{"at":"2026-11-25T22:05:04.148687Z","what":"start","activity":"dsfdev_ping","detail":{"kind":"process"}},{"at":"2026-11-25T22:05:04.148687Z","what":"start","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-25T22:05:04.148687Z","what":"end","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-25T22:05:04.148687Z","what":"start","activity":"select-targets","detail":{"kind":"serviceTask"}}]'),
	('01a214bd-ab03-714a-8553-d10544d0bbac', 2, '2026-11-25 22:05:04.183837+00', '[{"at":"2026-11-25T22:05:04.183837Z","what":"end","activity":"select-targets","detail":{"kind":"serviceTask"}},{"at":"2026-11-25T22:05:04.183837Z","what":"start","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-25T22:05:04.183837Z","what":"start","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-25T22:05:04.183837Z","what":"start","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.183837Z","what":"end","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.183837Z","what":"start","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a214bd-ab0e-75ea-a5a3-b1de616ba5ed', 2, '2026-11-25 22:05:04.187485+00', '[{"at":"2026-11-25T22:05:04.187485Z","what":"end","activity":"select-targets","detail":{"kind":"serviceTask"}},{"at":"2026-11-25T22:05:04.187485Z","what":"start","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-25T22:05:04.187485Z","what":"start","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-25T22:05:04.187485Z","what":"start","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.187485Z","what":"end","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.187485Z","what":"start","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a214bd-ab15-70ef-b09c-724abc102ee2', 2, '2026-11-25 22:05:04.19307+00', '[{"at":"2026-11-25T22:05:04.19307Z","what":"end","activity":"select-targets","detail":{"kind":"serviceTask"}},{"at":"2026-11-25T22:05:04.19307Z","what":"start","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-25T22:05:04.19307Z","what":"start","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-25T22:05:04.19307Z","what":"start","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.19307Z","what":"end","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.19307Z","what":"start","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a214bd-ab0e-75ea-a5a3-b1de616ba5ed', 3, '2026-11-25 22:05:04.211093+00', '[{"at":"2026-11-25T22:05:04.211093Z","what":"end","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.211093Z","what":"start","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.211093Z","what":"end","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.211093Z","what":"start","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a214bd-ab15-70ef-b09c-724abc102ee2', 3, '2026-11-25 22:05:04.219902+00', '[{"at":"2026-11-25T22:05:04.219902Z","what":"end","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.219902Z","what":"start","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.219902Z","what":"end","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.219902Z","what":"start","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a214bd-ab03-714a-8553-d10544d0bbac', 3, '2026-11-25 22:05:04.231114+00', '[{"at":"2026-11-25T22:05:04.231114Z","what":"end","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.231114Z","what":"start","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.231114Z","what":"end","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.231114Z","what":"start","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a214bd-ab03-714a-8553-d10544d0bbac', 4, '2026-11-25 22:05:04.344563+00', '[{"at":"2026-11-25T22:05:04.344563Z","what":"cancel","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.344563Z","what":"start","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.344563Z","what":"end","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.344563Z","what":"start","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.344563Z","what":"end","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.344563Z","what":"start","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.344563Z","what":"end","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.344563Z","what":"start","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.344563Z","what":"end","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.344563Z","what":"end","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-25T22:05:04.344563Z","what":"end","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-25T22:05:04.344563Z","what":"start","activity":"save-results","detail":{"kind":"serviceTask"}}]'),
	('01a214bd-ab03-714a-8553-d10544d0bbac', 5, '2026-11-25 22:05:04.357735+00', '[{"at":"2026-11-25T22:05:04.357735Z","what":"end","activity":"save-results","detail":{"kind":"serviceTask"}},{"at":"2026-11-25T22:05:04.357735Z","what":"start","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-25T22:05:04.357735Z","what":"end","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-25T22:05:04.357735Z","what":"end","activity":"dsfdev_ping","detail":{"kind":"process"}}]'),
	('01a214bd-ab15-70ef-b09c-724abc102ee2', 4, '2026-11-25 22:05:04.350303+00', '[{"at":"2026-11-25T22:05:04.350303Z","what":"cancel","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.350303Z","what":"start","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.350303Z","what":"end","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.350303Z","what":"start","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.350303Z","what":"end","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.350303Z","what":"start","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.350303Z","what":"end","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.350303Z","what":"start","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.350303Z","what":"end","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.350303Z","what":"end","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-25T22:05:04.350303Z","what":"end","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-25T22:05:04.350303Z","what":"start","activity":"save-results","detail":{"kind":"serviceTask"}}]'),
	('01a214bd-ab0e-75ea-a5a3-b1de616ba5ed', 5, '2026-11-25 22:05:04.393222+00', '[{"at":"2026-11-25T22:05:04.393222Z","what":"end","activity":"save-results","detail":{"kind":"serviceTask"}},{"at":"2026-11-25T22:05:04.393222Z","what":"start","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-25T22:05:04.393222Z","what":"end","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-25T22:05:04.393222Z","what":"end","activity":"dsfdev_ping","detail":{"kind":"process"}}]'),
	('01a214bd-ab0e-75ea-a5a3-b1de616ba5ed', 4, '2026-11-25 22:05:04.363174+00', '[{"at":"2026-11-25T22:05:04.363174Z","what":"cancel","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.363174Z","what":"start","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.363174Z","what":"end","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.363174Z","what":"start","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.363174Z","what":"end","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.363174Z","what":"start","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.363174Z","what":"end","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.363174Z","what":"start","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.363174Z","what":"end","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.363174Z","what":"end","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-25T22:05:04.363174Z","what":"end","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-25T22:05:04.363174Z","what":"start","activity":"save-results","detail":{"kind":"serviceTask"}}]'),
	('01a214bd-ab15-70ef-b09c-724abc102ee2', 5, '2026-11-25 22:05:04.393536+00', '[{"at":"2026-11-25T22:05:04.393536Z","what":"end","activity":"save-results","detail":{"kind":"serviceTask"}},{"at":"2026-11-25T22:05:04.393536Z","what":"start","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-25T22:05:04.393536Z","what":"end","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-25T22:05:04.393536Z","what":"end","activity":"dsfdev_ping","detail":{"kind":"process"}}]'),
	('01a214bd-acd4-7372-9a17-eb5099bf829c', 1, '2026-11-25 22:05:04.593855+00', '[{"at":"2026-11-25T22:05:04.593855Z","what":"start","activity":"dsfdev_ping","detail":{"kind":"process"}},{"at":"2026-11-25T22:05:04.593855Z","what":"start","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-25T22:05:04.593855Z","what":"end","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-25T22:05:04.593855Z","what":"start","activity":"select-targets","detail":{"kind":"serviceTask"}}]'),
	('01a214bd-acd4-7372-9a17-eb5099bf829c', 2, '2026-11-25 22:05:04.608524+00', '[{"at":"2026-11-25T22:05:04.608524Z","what":"end","activity":"select-targets","detail":{"kind":"serviceTask"}},{"at":"2026-11-25T22:05:04.608524Z","what":"start","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-25T22:05:04.608524Z","what":"start","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-25T22:05:04.608524Z","what":"start","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.608524Z","what":"end","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.608524Z","what":"start","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a214bd-acd4-7372-9a17-eb5099bf829c', 3, '2026-11-25 22:05:04.624553+00', '[{"at":"2026-11-25T22:05:04.624553Z","what":"end","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.624553Z","what":"start","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.624553Z","what":"end","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-25T22:05:04.624553Z","what":"start","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}}]');
INSERT INTO public.instance VALUES
	('01a214bd-ab0e-75ea-a5a3-b1de616ba5ed', 'dsfdev_ping', '1.0', '77b8da26d63593863007e815cf39a40515b19de4f728c541ab3607c3a5788954', '17232f4d-4f24-44f6-9c20-7c2048ee1c2c', NULL, 'site-a.test', 'completed', 5, 1, NULL, '01a214bd-ab0e-75ea-a5a3-b1dd95f3c460', NULL, '2026-11-25 22:05:04.141907+00', '2026-11-25 22:05:04.393222+00', '00-fdfcb090e68eba15e6cc8068cd963a7e-0fb80896b4b1d2e3-01', NULL, '2026-12-25 22:05:04.393222+00'),
	('01a214bd-ab03-714a-8553-d10544d0bbac', 'dsfdev_ping', '1.0', '77b8da26d63593863007e815cf39a40515b19de4f728c541ab3607c3a5788954', '21bab244-7b21-47bd-ac12-e16f5e014dd4', NULL, 'site-a.test', 'completed', 5, 1, NULL, '01a214bd-ab02-76fa-b995-387fdd91253c', NULL, '2026-11-25 22:05:04.129689+00', '2026-11-25 22:05:04.357735+00', '00-1f20324e009f646258fbabd1041175c9-f58d2be9ccc7b201-01', NULL, '2026-12-25 22:05:04.357735+00'),
	('01a214bd-ab15-70ef-b09c-724abc102ee2', 'dsfdev_ping', '1.0', '77b8da26d63593863007e815cf39a40515b19de4f728c541ab3607c3a5788954', '62fd3c01-7588-4311-8c78-d91bf362ee50', NULL, 'site-a.test', 'completed', 5, 1, NULL, '01a214bd-ab14-7045-a52d-fb70e7f1add7', NULL, '2026-11-25 22:05:04.148687+00', '2026-11-25 22:05:04.393536+00', '00-5c22c788e096fca87361aa81baac3048-c8b84693c55dfaa4-01', NULL, '2026-12-25 22:05:04.393536+00'),
	('01a214bd-acd4-7372-9a17-eb5099bf829c', 'dsfdev_ping', '1.0', '77b8da26d63593863007e815cf39a40515b19de4f728c541ab3607c3a5788954', 'f975af2c-7868-4e42-af4c-263d54edaf66', NULL, 'site-a.test', 'active', 3, 1, '{"schema":1,"fingerprint":1507184026,"instance":"01a214bd-acd4-7372-9a17-eb5099bf829c","status":"active","business_key":"f975af2c-7868-4e42-af4c-263d54edaf66","start_source":"01a214bd-acd2-74fc-80fe-8a49bbd4dea4","next":9,"nodes":{"0":{"element":0,"wait":"scope","since":1795644304593,"variables":{"targets":{"type":"json","value":{"entries":[{"correlationKey":"de969d99-ba7e-41bf-aeaf-da6cf7f7ac94","endpointIdentifierValue":"fhir.site-b.test","endpointUrl":"{{base URL of site-b}}","organizationIdentifierValue":"site-b.test"}]}}}},"3":{"parent":0,"element":3,"body":true,"wait":"scope","since":1795644304608,"variables":{"nrOfActiveInstances":{"type":"integer","value":1},"nrOfCompletedInstances":{"type":"integer","value":0},"nrOfInstances":{"type":"integer","value":1}}},"4":{"parent":3,"element":3,"wait":"scope","since":1795644304608,"variables":{"loopCounter":{"type":"integer","value":0},"target":{"type":"json","value":{"correlationKey":"de969d99-ba7e-41bf-aeaf-da6cf7f7ac94","endpointIdentifierValue":"fhir.site-b.test","endpointUrl":"{{base URL of site-b}}","organizationIdentifierValue":"site-b.test"}}}},"8":{"parent":4,"element":7,"wait":"event","since":1795644304624,"variables":{"correlationKey":{"type":"string","value":"de969d99-ba7e-41bf-aeaf-da6cf7f7ac94"}},"triggers":[{"id":"01a214bd-acf1-7622-a852-c0001b23f088","element":8,"on":{"message":"pong"}},{"id":"01a214bd-acf1-7622-a852-c0011ad84533","element":9,"on":{"timer":{"due":1795644324624}}}]}}}', '01a214bd-acd2-74fc-80fe-8a49bbd4dea4', '2026-11-25 22:06:04.593855+00', '2026-11-25 22:05:04.593855+00', NULL, '00-cbc864eba67c00201e22aee4f74bea4d-0371721534b2d056-01', NULL, NULL);
INSERT INTO public.message VALUES
	('01a214bd-ab02-76fa-b995-387fdd91253c', '{{base URL of site-a}}', 'Task/88a17dc3-24a4-4c8d-8bee-d30cf38ae8e4', 'dsfdev_ping', '1.0', 'startPing', '21bab244-7b21-47bd-ac12-e16f5e014dd4', NULL, 'site-a.test', 'application/fhir+json', '{"resourceType":"Task","id":"88a17dc3-24a4-4c8d-8bee-d30cf38ae8e4","meta":{"versionId":"1","lastUpdated":"2026-11-25T22:05:04.115+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/test","value":"c230fa73-c0d4-4c11-9737-eb7d251378d0"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-24T12:00:00+00:00","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"startPing"}]}', '2026-11-25 22:05:04.129689+00', '00-1f20324e009f646258fbabd1041175c9-797db80f43d74612-01', 'taken', NULL, '01a214bd-ab03-714a-8553-d10544d0bbac', 'completed', '{"{\"extension\":[{\"extension\":[{\"url\":\"correlation-key\",\"valueString\":\"48b91332-7c16-4217-86fb-38f54630047d\"},{\"url\":\"organization-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/organization-identifier\",\"value\":\"site-b.test\"}},{\"url\":\"endpoint-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/endpoint-identifier\",\"value\":\"fhir.site-b.test\"}}],\"url\":\"http://dsf.dev/fhir/StructureDefinition/extension-ping-status\"}],\"type\":{\"coding\":[{\"code\":\"ping-status\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping\"}]},\"valueCoding\":{\"code\":\"pong-received\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping-status\"}}"}', '21bab244-7b21-47bd-ac12-e16f5e014dd4', 'completed', 3, NULL, '2026-11-25 22:05:04.38196+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a214bd-ab0e-75ea-a5a3-b1dd95f3c460', '{{base URL of site-a}}', 'Task/5ca94c57-4e5d-4432-9aa0-74d219b0ee65', 'dsfdev_ping', '1.0', 'startPing', '17232f4d-4f24-44f6-9c20-7c2048ee1c2c', NULL, 'site-a.test', 'application/fhir+json', '{"resourceType":"Task","id":"5ca94c57-4e5d-4432-9aa0-74d219b0ee65","meta":{"versionId":"1","lastUpdated":"2026-11-25T22:05:04.125+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/test","value":"16581f8e-3baa-4471-8057-749631de2ff4"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-24T12:00:00+00:00","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"startPing"}]}', '2026-11-25 22:05:04.141907+00', '00-fdfcb090e68eba15e6cc8068cd963a7e-536541cfdb2c4741-01', 'taken', NULL, '01a214bd-ab0e-75ea-a5a3-b1de616ba5ed', 'completed', '{"{\"extension\":[{\"extension\":[{\"url\":\"correlation-key\",\"valueString\":\"74b63414-789c-450a-bbdf-45670cde5f12\"},{\"url\":\"organization-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/organization-identifier\",\"value\":\"site-b.test\"}},{\"url\":\"endpoint-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/endpoint-identifier\",\"value\":\"fhir.site-b.test\"}}],\"url\":\"http://dsf.dev/fhir/StructureDefinition/extension-ping-status\"}],\"type\":{\"coding\":[{\"code\":\"ping-status\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping\"}]},\"valueCoding\":{\"code\":\"pong-received\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping-status\"}}"}', '17232f4d-4f24-44f6-9c20-7c2048ee1c2c', 'completed', 3, NULL, '2026-11-25 22:05:04.415974+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a214bd-abec-7783-9e6f-6040aa9b06c0', '{{base URL of site-a}}', 'Task/9e12170c-8576-4869-993e-cc06643474fa', 'dsfdev_ping', '1.0', 'pong', '17232f4d-4f24-44f6-9c20-7c2048ee1c2c', '74b63414-789c-450a-bbdf-45670cde5f12', 'site-b.test', 'application/fhir+json', '{"resourceType":"Task","id":"9e12170c-8576-4869-993e-cc06643474fa","meta":{"versionId":"1","lastUpdated":"2026-11-25T22:05:04.334+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-pong|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/send-id","value":"01a214bd-abc5-7559-9fa8-079e82e246b2"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-25T22:05:04.323733Z","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-b.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"pong"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"business-key"}]},"valueString":"17232f4d-4f24-44f6-9c20-7c2048ee1c2c"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"correlation-key"}]},"valueString":"74b63414-789c-450a-bbdf-45670cde5f12"}]}', '2026-11-25 22:05:04.363174+00', '00-fdfcb090e68eba15e6cc8068cd963a7e-3ead2353b2c77dfe-01', 'taken', NULL, '01a214bd-ab0e-75ea-a5a3-b1de616ba5ed', 'completed', '{}', NULL, 'completed', 3, NULL, '2026-11-25 22:05:04.383998+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a214bd-abd8-706a-8ce0-b9d0baa773c7', '{{base URL of site-a}}', 'Task/16b519d6-257c-4f29-a8a6-57b6a8420425', 'dsfdev_ping', '1.0', 'pong', '21bab244-7b21-47bd-ac12-e16f5e014dd4', '48b91332-7c16-4217-86fb-38f54630047d', 'site-b.test', 'application/fhir+json', '{"resourceType":"Task","id":"16b519d6-257c-4f29-a8a6-57b6a8420425","meta":{"versionId":"1","lastUpdated":"2026-11-25T22:05:04.332+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-pong|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/send-id","value":"01a214bd-abc1-7278-a7f8-76b60a8a11c7"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-25T22:05:04.31939Z","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-b.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"pong"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"business-key"}]},"valueString":"21bab244-7b21-47bd-ac12-e16f5e014dd4"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"correlation-key"}]},"valueString":"48b91332-7c16-4217-86fb-38f54630047d"}]}', '2026-11-25 22:05:04.344563+00', '00-1f20324e009f646258fbabd1041175c9-539d2455c69dabb4-01', 'taken', NULL, '01a214bd-ab03-714a-8553-d10544d0bbac', 'completed', '{}', NULL, 'completed', 3, NULL, '2026-11-25 22:05:04.385559+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a214bd-abde-7502-b227-7314694eb77e', '{{base URL of site-a}}', 'Task/02bd7387-6d1a-47b0-96c3-11218d0f56f9', 'dsfdev_ping', '1.0', 'pong', '62fd3c01-7588-4311-8c78-d91bf362ee50', '3af34096-9917-4d7f-9a24-98cd8be6312b', 'site-b.test', 'application/fhir+json', '{"resourceType":"Task","id":"02bd7387-6d1a-47b0-96c3-11218d0f56f9","meta":{"versionId":"1","lastUpdated":"2026-11-25T22:05:04.336+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-pong|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/send-id","value":"01a214bd-abc1-7278-a7f8-76b72070b0a6"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-25T22:05:04.31939Z","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-b.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"pong"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"business-key"}]},"valueString":"62fd3c01-7588-4311-8c78-d91bf362ee50"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"correlation-key"}]},"valueString":"3af34096-9917-4d7f-9a24-98cd8be6312b"}]}', '2026-11-25 22:05:04.350303+00', '00-5c22c788e096fca87361aa81baac3048-636ce5fb94265155-01', 'taken', NULL, '01a214bd-ab15-70ef-b09c-724abc102ee2', 'completed', '{}', NULL, 'completed', 3, NULL, '2026-11-25 22:05:04.384779+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a214bd-ab14-7045-a52d-fb70e7f1add7', '{{base URL of site-a}}', 'Task/52279ac8-6749-4b3d-a708-cba9b91b0c61', 'dsfdev_ping', '1.0', 'startPing', '62fd3c01-7588-4311-8c78-d91bf362ee50', NULL, 'site-a.test', 'application/fhir+json', '{"resourceType":"Task","id":"52279ac8-6749-4b3d-a708-cba9b91b0c61","meta":{"versionId":"1","lastUpdated":"2026-11-25T22:05:04.123+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/test","value":"839a6d51-4833-4e40-9a52-72c069ddef82"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-24T12:00:00+00:00","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"startPing"}]}', '2026-11-25 22:05:04.148687+00', '00-5c22c788e096fca87361aa81baac3048-17909ad7b9115e85-01', 'taken', NULL, '01a214bd-ab15-70ef-b09c-724abc102ee2', 'completed', '{"{\"extension\":[{\"extension\":[{\"url\":\"correlation-key\",\"valueString\":\"3af34096-9917-4d7f-9a24-98cd8be6312b\"},{\"url\":\"organization-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/organization-identifier\",\"value\":\"site-b.test\"}},{\"url\":\"endpoint-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/endpoint-identifier\",\"value\":\"fhir.site-b.test\"}}],\"url\":\"http://dsf.dev/fhir/StructureDefinition/extension-ping-status\"}],\"type\":{\"coding\":[{\"code\":\"ping-status\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping\"}]},\"valueCoding\":{\"code\":\"pong-received\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping-status\"}}"}', '62fd3c01-7588-4311-8c78-d91bf362ee50', 'completed', 3, NULL, '2026-11-25 22:05:04.419994+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a214bd-acd2-74fc-80fe-8a49bbd4dea4', '{{base URL of site-a}}', 'Task/7f7acfe7-a9c3-4be9-8f8d-2f2d65ca0c74', 'dsfdev_ping', '1.0', 'startPing', 'f975af2c-7868-4e42-af4c-263d54edaf66', NULL, 'site-a.test', 'application/fhir+json', '{"resourceType":"Task","id":"7f7acfe7-a9c3-4be9-8f8d-2f2d65ca0c74","meta":{"versionId":"1","lastUpdated":"2026-11-25T22:05:04.578+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/test","value":"b4c2ad3b-16ac-44f1-a09f-a87dca136d2a"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-24T12:00:00+00:00","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"startPing"}]}', '2026-11-25 22:05:04.593855+00', '00-cbc864eba67c00201e22aee4f74bea4d-3ec732d92fa63f6c-01', 'taken', NULL, '01a214bd-acd4-7372-9a17-eb5099bf829c', 'in-progress', '{}', 'f975af2c-7868-4e42-af4c-263d54edaf66', 'in-progress', 2, NULL, '2026-11-25 22:05:04.607274+00', 0, NULL, NULL, 'task-router-write-back');
INSERT INTO public.schema_version VALUES
	(1, 'engine', 5717875389645574605, '2026-11-25 22:05:02.647641+00'),
	(2, 'operations', 7604709414586731011, '2026-11-25 22:05:02.647641+00'),
	(3, 'start timers', 5682467321423537149, '2026-11-25 22:05:02.647641+00');
INSERT INTO public.timer VALUES
	('01a214bd-acf1-7622-a852-c0011ad84533', '01a214bd-acd4-7372-9a17-eb5099bf829c', 'time-out', '2026-11-25 22:05:24.624+00');
SELECT pg_catalog.setval('public.definition_seq_seq', 5, true);
ALTER TABLE ONLY public.activity_time
    ADD CONSTRAINT activity_time_pkey PRIMARY KEY (process_key, version_tag, activity, bucket);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.definition
    ADD CONSTRAINT definition_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY public.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (instance, rev);
ALTER TABLE ONLY public.incident
    ADD CONSTRAINT incident_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.instance
    ADD CONSTRAINT instance_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.job
    ADD CONSTRAINT job_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.message
    ADD CONSTRAINT message_base_url_reference_key UNIQUE (base_url, reference);
ALTER TABLE ONLY public.message
    ADD CONSTRAINT message_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.pause
    ADD CONSTRAINT pause_pkey PRIMARY KEY (scope, name);
ALTER TABLE ONLY public.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.start_timer
    ADD CONSTRAINT start_timer_pkey PRIMARY KEY (process_key, version_tag, event);
ALTER TABLE ONLY public.subscription
    ADD CONSTRAINT subscription_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.timer
    ADD CONSTRAINT timer_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.user_task
    ADD CONSTRAINT user_task_pkey PRIMARY KEY (id);
CREATE INDEX audit_at ON public.audit USING btree (at);
CREATE INDEX definition_newest ON public.definition USING btree (process_key, version_tag, seq DESC);
CREATE INDEX incident_instance ON public.incident USING btree (instance);
CREATE INDEX incident_job ON public.incident USING btree (job) WHERE (resolved IS NULL);
CREATE INDEX incident_open ON public.incident USING btree (created) WHERE (resolved IS NULL);
CREATE INDEX instance_alternative_key ON public.instance USING btree (alternative_key) WHERE (alternative_key IS NOT NULL);
CREATE INDEX instance_fresh ON public.instance USING btree (requester, fresh_until) WHERE (fresh_until IS NOT NULL);
CREATE INDEX instance_kept ON public.instance USING btree (kept_until) WHERE (kept_until IS NOT NULL);
CREATE INDEX instance_key ON public.instance USING btree (business_key, process_key, version_tag);
CREATE INDEX instance_open ON public.instance USING btree (status) WHERE (ended IS NULL);
CREATE INDEX instance_parent ON public.instance USING btree (parent) WHERE (parent IS NOT NULL);
CREATE INDEX job_instance ON public.job USING btree (instance);
CREATE INDEX job_leased ON public.job USING btree (lease_until) WHERE (state = 'leased'::text);
CREATE INDEX job_ready ON public.job USING btree (claim_kind, due) WHERE (state = 'ready'::text);
CREATE INDEX message_held ON public.message USING btree (expires) WHERE (state = 'held'::text);
CREATE INDEX message_held_key ON public.message USING btree (business_key) WHERE (state = 'held'::text);
CREATE INDEX message_instance ON public.message USING btree (instance) WHERE (instance IS NOT NULL);
CREATE INDEX message_leased ON public.message USING btree (lease_until) WHERE (work = 'leased'::text);
CREATE INDEX message_queued ON public.message USING btree (requester, id) WHERE (state = 'queued'::text);
CREATE INDEX message_queued_key ON public.message USING btree (business_key) WHERE (state = 'queued'::text);
CREATE INDEX message_ready ON public.message USING btree (work_due) WHERE (work = 'ready'::text);
CREATE INDEX start_timer_due ON public.start_timer USING btree (due) WHERE (due IS NOT NULL);
CREATE INDEX subscription_instance ON public.subscription USING btree (instance);
CREATE INDEX subscription_name ON public.subscription USING btree (kind, name);
CREATE INDEX timer_due ON public.timer USING btree (due);
CREATE INDEX timer_instance ON public.timer USING btree (instance);
CREATE INDEX user_task_instance ON public.user_task USING btree (instance);
