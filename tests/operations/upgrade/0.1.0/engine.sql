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
INSERT INTO public.activity_time VALUES
	('dsfdev_ping', '1.0', 'done', 0, 3),
	('dsfdev_ping', '1.0', 'dsfdev_ping', 8, 3),
	('dsfdev_ping', '1.0', 'each-target', 7, 2),
	('dsfdev_ping', '1.0', 'each-target', 8, 1),
	('dsfdev_ping', '1.0', 'each-target#multiInstanceBody', 7, 2),
	('dsfdev_ping', '1.0', 'each-target#multiInstanceBody', 8, 1),
	('dsfdev_ping', '1.0', 'note-pong', 0, 3),
	('dsfdev_ping', '1.0', 'noted', 0, 3),
	('dsfdev_ping', '1.0', 'pong-received', 0, 3),
	('dsfdev_ping', '1.0', 'requested', 0, 4),
	('dsfdev_ping', '1.0', 'save-results', 5, 1),
	('dsfdev_ping', '1.0', 'save-results', 7, 2),
	('dsfdev_ping', '1.0', 'select-targets', 4, 1),
	('dsfdev_ping', '1.0', 'select-targets', 5, 3),
	('dsfdev_ping', '1.0', 'send-ping', 4, 1),
	('dsfdev_ping', '1.0', 'send-ping', 5, 1),
	('dsfdev_ping', '1.0', 'send-ping', 6, 2),
	('dsfdev_ping', '1.0', 'sent', 0, 4),
	('dsfdev_ping', '1.0', 'target-begins', 0, 4),
	('dsfdev_ping', '1.0', 'target-done', 0, 3);
INSERT INTO public.definition OVERRIDING SYSTEM VALUE VALUES
	('88505aa86f33a5d19f8e8fde551abe3d079ec19bf4e65cec82a4e97bed24b163', 'dsfdev_downloadAllowList', '1.0', 'allow-list', '1.0.0.1', 'active', 1, '2026-11-26 02:25:57.915782+00', '<?xml version="1.0" encoding="UTF-8"?>
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
	('37a3dd15462de809c9ee0ab0bf4aca29b59346fa541e63ce73c4ec6ec9dca33b', 'dsfdev_updateAllowList', '1.0', 'allow-list', '1.0.0.1', 'active', 2, '2026-11-26 02:25:57.915782+00', '<?xml version="1.0" encoding="UTF-8"?>
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
	('eff3f0b1f025ed86b000bd2bd9976a8363b6704fe0f30ef5c7f17915b66be852', 'dsfdev_pingAutostart', '1.0', 'ping-pong', '1.0.1.0', 'active', 3, '2026-11-26 02:25:58.2192+00', '<?xml version="1.0" encoding="UTF-8"?>
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
	('77b8da26d63593863007e815cf39a40515b19de4f728c541ab3607c3a5788954', 'dsfdev_ping', '1.0', 'ping-pong', '1.0.1.0', 'active', 4, '2026-11-26 02:25:58.2192+00', '<?xml version="1.0" encoding="UTF-8"?>
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
	('e6efde86786ae0e5d766671e37f4e8d41d51210571bb0ccf5bb227548b0e3078', 'dsfdev_pong', '1.0', 'ping-pong', '1.0.1.0', 'active', 5, '2026-11-26 02:25:58.2192+00', '<?xml version="1.0" encoding="UTF-8"?>
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
	('01a215ac-88a8-75f5-9420-6925f18d35bc', 1, '2026-11-26 02:25:58.438295+00', '[{"at":"2026-11-26T02:25:58.438295Z","what":"start","activity":"dsfdev_ping","detail":{"kind":"process"}},{"at":"2026-11-26T02:25:58.438295Z","what":"start","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-26T02:25:58.438295Z","what":"end","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-26T02:25:58.438295Z","what":"start","activity":"select-targets","detail":{"kind":"serviceTask"}}]'),
	('01a215ac-88aa-742e-9f92-2c836b4ded11', 1, '2026-11-26 02:25:58.43826+00', '[{"at":"2026-11-26T02:25:58.43826Z","what":"start","activity":"dsfdev_ping","detail":{"kind":"process"}},{"at":"2026-11-26T02:25:58.43826Z","what":"start","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-26T02:25:58.43826Z","what":"end","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-26T02:25:58.43826Z","what":"start","activity":"select-targets","detail":{"kind":"serviceTask"}}]'),
	('01a215ac-88b0-7079-89bc-cbf7fa0086c6', 1, '2026-11-26 02:25:58.447599+00', '[{"at":"2026-11-26T02:25:58.447599Z","what":"start","activity":"dsfdev_ping","detail":{"kind":"process"}},{"at":"2026-11-26T02:25:58.447599Z","what":"start","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-26T02:25:58.447599Z","what":"end","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-26T02:25:58.447599Z","what":"start","activity":"select-targets","detail":{"kind":"serviceTask"}}]'),
	('01a215ac-88a8-75f5-9420-6925f18d35bc', 2, '2026-11-26 02:25:58.459509+00', '[{"at":"2026-11-26T02:25:58.459509Z","what":"end","activity":"select-targets","detail":{"kind":"serviceTask"}},{"at":"2026-11-26T02:25:58.459509Z","what":"start","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-26T02:25:58.459509Z","what":"start","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-26T02:25:58.459509Z","what":"start","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.459509Z","what":"end","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.459509Z","what":"start","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a215ac-88aa-742e-9f92-2c836b4ded11', 2, '2026-11-26 02:25:58.46229+00', '[{"at":"2026-11-26T02:25:58.46229Z","what":"end","activity":"select-targets","detail":{"kind":"serviceTask"}},{"at":"2026-11-26T02:25:58.46229Z","what":"start","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-26T02:25:58.46229Z","what":"start","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-26T02:25:58.46229Z","what":"start","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.46229Z","what":"end","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.46229Z","what":"start","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a215ac-88b0-7079-89bc-cbf7fa0086c6', 2, '2026-11-26 02:25:58.466981+00', '[{"at":"2026-11-26T02:25:58.466981Z","what":"end","activity":"select-targets","detail":{"kind":"serviceTask"}},{"at":"2026-11-26T02:25:58.466981Z","what":"start","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-26T02:25:58.466981Z","what":"start","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-26T02:25:58.466981Z","what":"start","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.466981Z","what":"end","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.466981Z","what":"start","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a215ac-88a8-75f5-9420-6925f18d35bc', 3, '2026-11-26 02:25:58.491966+00', '[{"at":"2026-11-26T02:25:58.491966Z","what":"end","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.491966Z","what":"start","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.491966Z","what":"end","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.491966Z","what":"start","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a215ac-88aa-742e-9f92-2c836b4ded11', 3, '2026-11-26 02:25:58.490813+00', '[{"at":"2026-11-26T02:25:58.490813Z","what":"end","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.490813Z","what":"start","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.490813Z","what":"end","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.490813Z","what":"start","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a215ac-88b0-7079-89bc-cbf7fa0086c6', 3, '2026-11-26 02:25:58.50421+00', '[{"at":"2026-11-26T02:25:58.50421Z","what":"end","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.50421Z","what":"start","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.50421Z","what":"end","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.50421Z","what":"start","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a215ac-88b0-7079-89bc-cbf7fa0086c6', 5, '2026-11-26 02:25:58.582453+00', '[{"at":"2026-11-26T02:25:58.582453Z","what":"end","activity":"save-results","detail":{"kind":"serviceTask"}},{"at":"2026-11-26T02:25:58.582453Z","what":"start","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-26T02:25:58.582453Z","what":"end","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-26T02:25:58.582453Z","what":"end","activity":"dsfdev_ping","detail":{"kind":"process"}}]'),
	('01a215ac-88a8-75f5-9420-6925f18d35bc', 5, '2026-11-26 02:25:58.663428+00', '[{"at":"2026-11-26T02:25:58.663428Z","what":"end","activity":"save-results","detail":{"kind":"serviceTask"}},{"at":"2026-11-26T02:25:58.663428Z","what":"start","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-26T02:25:58.663428Z","what":"end","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-26T02:25:58.663428Z","what":"end","activity":"dsfdev_ping","detail":{"kind":"process"}}]'),
	('01a215ac-88b0-7079-89bc-cbf7fa0086c6', 4, '2026-11-26 02:25:58.566971+00', '[{"at":"2026-11-26T02:25:58.566971Z","what":"cancel","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.566971Z","what":"start","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.566971Z","what":"end","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.566971Z","what":"start","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.566971Z","what":"end","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.566971Z","what":"start","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.566971Z","what":"end","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.566971Z","what":"start","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.566971Z","what":"end","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.566971Z","what":"end","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-26T02:25:58.566971Z","what":"end","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-26T02:25:58.566971Z","what":"start","activity":"save-results","detail":{"kind":"serviceTask"}}]'),
	('01a215ac-88aa-742e-9f92-2c836b4ded11', 5, '2026-11-26 02:25:58.659686+00', '[{"at":"2026-11-26T02:25:58.659686Z","what":"end","activity":"save-results","detail":{"kind":"serviceTask"}},{"at":"2026-11-26T02:25:58.659686Z","what":"start","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-26T02:25:58.659686Z","what":"end","activity":"done","detail":{"kind":"noneEndEvent"}},{"at":"2026-11-26T02:25:58.659686Z","what":"end","activity":"dsfdev_ping","detail":{"kind":"process"}}]'),
	('01a215ac-88aa-742e-9f92-2c836b4ded11', 4, '2026-11-26 02:25:58.580051+00', '[{"at":"2026-11-26T02:25:58.580051Z","what":"cancel","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.580051Z","what":"start","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.580051Z","what":"end","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.580051Z","what":"start","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.580051Z","what":"end","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.580051Z","what":"start","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.580051Z","what":"end","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.580051Z","what":"start","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.580051Z","what":"end","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.580051Z","what":"end","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-26T02:25:58.580051Z","what":"end","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-26T02:25:58.580051Z","what":"start","activity":"save-results","detail":{"kind":"serviceTask"}}]'),
	('01a215ac-88a8-75f5-9420-6925f18d35bc', 4, '2026-11-26 02:25:58.595298+00', '[{"at":"2026-11-26T02:25:58.595298Z","what":"cancel","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.595298Z","what":"start","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.595298Z","what":"end","activity":"pong-received","detail":{"kind":"intermediateMessageCatch","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.595298Z","what":"start","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.595298Z","what":"end","activity":"note-pong","detail":{"kind":"serviceTask","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.595298Z","what":"start","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.595298Z","what":"end","activity":"noted","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.595298Z","what":"start","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.595298Z","what":"end","activity":"target-done","detail":{"kind":"noneEndEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.595298Z","what":"end","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-26T02:25:58.595298Z","what":"end","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-26T02:25:58.595298Z","what":"start","activity":"save-results","detail":{"kind":"serviceTask"}}]'),
	('01a215ac-8a55-7658-81a5-cdcd1097befe', 1, '2026-11-26 02:25:58.868849+00', '[{"at":"2026-11-26T02:25:58.868849Z","what":"start","activity":"dsfdev_ping","detail":{"kind":"process"}},{"at":"2026-11-26T02:25:58.868849Z","what":"start","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-26T02:25:58.868849Z","what":"end","activity":"requested","detail":{"kind":"messageStartEvent"}},{"at":"2026-11-26T02:25:58.868849Z","what":"start","activity":"select-targets","detail":{"kind":"serviceTask"}}]'),
	('01a215ac-8a55-7658-81a5-cdcd1097befe', 2, '2026-11-26 02:25:58.879269+00', '[{"at":"2026-11-26T02:25:58.879269Z","what":"end","activity":"select-targets","detail":{"kind":"serviceTask"}},{"at":"2026-11-26T02:25:58.879269Z","what":"start","activity":"each-target#multiInstanceBody","detail":{"kind":"multiInstanceBody"}},{"at":"2026-11-26T02:25:58.879269Z","what":"start","activity":"each-target","detail":{"kind":"subProcess","scope":"each-target#multiInstanceBody"}},{"at":"2026-11-26T02:25:58.879269Z","what":"start","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.879269Z","what":"end","activity":"target-begins","detail":{"kind":"startEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.879269Z","what":"start","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}}]'),
	('01a215ac-8a55-7658-81a5-cdcd1097befe', 3, '2026-11-26 02:25:58.890872+00', '[{"at":"2026-11-26T02:25:58.890872Z","what":"end","activity":"send-ping","detail":{"kind":"intermediateMessageThrowEvent","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.890872Z","what":"start","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.890872Z","what":"end","activity":"sent","detail":{"kind":"exclusiveGateway","scope":"each-target#multiInstanceBody/each-target"}},{"at":"2026-11-26T02:25:58.890872Z","what":"start","activity":"await-answer","detail":{"kind":"eventBasedGateway","scope":"each-target#multiInstanceBody/each-target"}}]');
INSERT INTO public.instance VALUES
	('01a215ac-88a8-75f5-9420-6925f18d35bc', 'dsfdev_ping', '1.0', '77b8da26d63593863007e815cf39a40515b19de4f728c541ab3607c3a5788954', '0093c32e-60ec-4dbe-b34c-2e0f590dcb04', NULL, 'site-a.test', 'completed', 5, 1, NULL, '01a215ac-88a7-7458-8db1-30d607f81181', NULL, '2026-11-26 02:25:58.438295+00', '2026-11-26 02:25:58.663428+00', '00-a8049c268b19d0c383167974dc3dc52c-aaa6627178cee8c2-01', NULL, '2026-12-26 02:25:58.663428+00'),
	('01a215ac-88b0-7079-89bc-cbf7fa0086c6', 'dsfdev_ping', '1.0', '77b8da26d63593863007e815cf39a40515b19de4f728c541ab3607c3a5788954', 'da0909ea-540e-4c77-8733-f401392d54ac', NULL, 'site-a.test', 'completed', 5, 1, NULL, '01a215ac-88af-7793-9d62-0b6cca3fcb15', NULL, '2026-11-26 02:25:58.447599+00', '2026-11-26 02:25:58.582453+00', '00-5c7adbb488206057c3ebb7f6ea062960-aaa9ab0a59c91ac0-01', NULL, '2026-12-26 02:25:58.582453+00'),
	('01a215ac-8a55-7658-81a5-cdcd1097befe', 'dsfdev_ping', '1.0', '77b8da26d63593863007e815cf39a40515b19de4f728c541ab3607c3a5788954', '96f8a613-95b2-4551-a17b-10ac17a18b2f', NULL, 'site-a.test', 'active', 3, 1, '{"schema":1,"fingerprint":1507184026,"instance":"01a215ac-8a55-7658-81a5-cdcd1097befe","status":"active","business_key":"96f8a613-95b2-4551-a17b-10ac17a18b2f","start_source":"01a215ac-8a54-77dd-9a98-e4ddb6c947ab","next":9,"nodes":{"0":{"element":0,"wait":"scope","since":1795659958868,"variables":{"targets":{"type":"json","value":{"entries":[{"correlationKey":"6348d1fa-a211-43f8-8895-d0d8657b9496","endpointIdentifierValue":"fhir.site-b.test","endpointUrl":"{{base URL of site-b}}","organizationIdentifierValue":"site-b.test"}]}}}},"3":{"parent":0,"element":3,"body":true,"wait":"scope","since":1795659958879,"variables":{"nrOfActiveInstances":{"type":"integer","value":1},"nrOfCompletedInstances":{"type":"integer","value":0},"nrOfInstances":{"type":"integer","value":1}}},"4":{"parent":3,"element":3,"wait":"scope","since":1795659958879,"variables":{"loopCounter":{"type":"integer","value":0},"target":{"type":"json","value":{"correlationKey":"6348d1fa-a211-43f8-8895-d0d8657b9496","endpointIdentifierValue":"fhir.site-b.test","endpointUrl":"{{base URL of site-b}}","organizationIdentifierValue":"site-b.test"}}}},"8":{"parent":4,"element":7,"wait":"event","since":1795659958890,"variables":{"correlationKey":{"type":"string","value":"6348d1fa-a211-43f8-8895-d0d8657b9496"}},"triggers":[{"id":"01a215ac-8a6b-70e6-97a0-db2ebb5407b8","element":8,"on":{"message":"pong"}},{"id":"01a215ac-8a6b-70e6-97a0-db2f767eaef6","element":9,"on":{"timer":{"due":1795659978890}}}]}}}', '01a215ac-8a54-77dd-9a98-e4ddb6c947ab', '2026-11-26 02:26:58.868849+00', '2026-11-26 02:25:58.868849+00', NULL, '00-67270428e40bd91f49e79e1a21e6107a-392717e1d5541db2-01', NULL, NULL),
	('01a215ac-88aa-742e-9f92-2c836b4ded11', 'dsfdev_ping', '1.0', '77b8da26d63593863007e815cf39a40515b19de4f728c541ab3607c3a5788954', 'd5e691e1-b913-4bd7-a69f-8f4a053aebb8', NULL, 'site-a.test', 'completed', 5, 1, NULL, '01a215ac-88a7-7458-8db1-30d715f57816', NULL, '2026-11-26 02:25:58.43826+00', '2026-11-26 02:25:58.659686+00', '00-60b2c419b2e60daee080957805bcfed7-4987921b380dbeee-01', NULL, '2026-12-26 02:25:58.659686+00');
INSERT INTO public.message VALUES
	('01a215ac-88a7-7458-8db1-30d715f57816', '{{base URL of site-a}}', 'Task/0a3f0687-eb1f-424a-80ec-7b007a7b1c67', 'dsfdev_ping', '1.0', 'startPing', 'd5e691e1-b913-4bd7-a69f-8f4a053aebb8', NULL, 'site-a.test', 'application/fhir+json', '{"resourceType":"Task","id":"0a3f0687-eb1f-424a-80ec-7b007a7b1c67","meta":{"versionId":"1","lastUpdated":"2026-11-26T02:25:58.395+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/test","value":"fa42c668-8f8c-4cda-bc8f-ad9facd67964"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-24T12:00:00+00:00","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"startPing"}]}', '2026-11-26 02:25:58.43826+00', '00-60b2c419b2e60daee080957805bcfed7-f7235d60158c49e0-01', 'taken', NULL, '01a215ac-88aa-742e-9f92-2c836b4ded11', 'completed', '{"{\"extension\":[{\"extension\":[{\"url\":\"correlation-key\",\"valueString\":\"a42b2924-e8b9-4e2e-957b-0afd48ee22cb\"},{\"url\":\"organization-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/organization-identifier\",\"value\":\"site-b.test\"}},{\"url\":\"endpoint-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/endpoint-identifier\",\"value\":\"fhir.site-b.test\"}}],\"url\":\"http://dsf.dev/fhir/StructureDefinition/extension-ping-status\"}],\"type\":{\"coding\":[{\"code\":\"ping-status\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping\"}]},\"valueCoding\":{\"code\":\"pong-received\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping-status\"}}"}', 'd5e691e1-b913-4bd7-a69f-8f4a053aebb8', 'completed', 3, NULL, '2026-11-26 02:25:58.680491+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a215ac-88af-7793-9d62-0b6cca3fcb15', '{{base URL of site-a}}', 'Task/cdd0d291-65c4-4da1-87a6-ec8098f609ab', 'dsfdev_ping', '1.0', 'startPing', 'da0909ea-540e-4c77-8733-f401392d54ac', NULL, 'site-a.test', 'application/fhir+json', '{"resourceType":"Task","id":"cdd0d291-65c4-4da1-87a6-ec8098f609ab","meta":{"versionId":"1","lastUpdated":"2026-11-26T02:25:58.401+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/test","value":"9755a64e-1af5-4465-96cd-6a18522c8851"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-24T12:00:00+00:00","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"startPing"}]}', '2026-11-26 02:25:58.447599+00', '00-5c7adbb488206057c3ebb7f6ea062960-8bd963c111f5b2cb-01', 'taken', NULL, '01a215ac-88b0-7079-89bc-cbf7fa0086c6', 'completed', '{"{\"extension\":[{\"extension\":[{\"url\":\"correlation-key\",\"valueString\":\"45bd9031-62d6-4ef0-9817-45f311c80a87\"},{\"url\":\"organization-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/organization-identifier\",\"value\":\"site-b.test\"}},{\"url\":\"endpoint-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/endpoint-identifier\",\"value\":\"fhir.site-b.test\"}}],\"url\":\"http://dsf.dev/fhir/StructureDefinition/extension-ping-status\"}],\"type\":{\"coding\":[{\"code\":\"ping-status\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping\"}]},\"valueCoding\":{\"code\":\"pong-received\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping-status\"}}"}', 'da0909ea-540e-4c77-8733-f401392d54ac', 'completed', 3, NULL, '2026-11-26 02:25:58.669167+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a215ac-8934-7352-9952-df20b745c972', '{{base URL of site-a}}', 'Task/8d2205f2-4879-4d50-bfe0-e53ba3610cbf', 'dsfdev_ping', '1.0', 'pong', 'd5e691e1-b913-4bd7-a69f-8f4a053aebb8', 'a42b2924-e8b9-4e2e-957b-0afd48ee22cb', 'site-b.test', 'application/fhir+json', '{"resourceType":"Task","id":"8d2205f2-4879-4d50-bfe0-e53ba3610cbf","meta":{"versionId":"1","lastUpdated":"2026-11-26T02:25:58.568+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-pong|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/send-id","value":"01a215ac-8915-7114-b891-5f8cc56742bb"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-26T02:25:58.548645Z","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-b.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"pong"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"business-key"}]},"valueString":"d5e691e1-b913-4bd7-a69f-8f4a053aebb8"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"correlation-key"}]},"valueString":"a42b2924-e8b9-4e2e-957b-0afd48ee22cb"}]}', '2026-11-26 02:25:58.580051+00', '00-60b2c419b2e60daee080957805bcfed7-c85eb51f9f3ad318-01', 'taken', NULL, '01a215ac-88aa-742e-9f92-2c836b4ded11', 'completed', '{}', NULL, 'completed', 3, NULL, '2026-11-26 02:25:58.63614+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a215ac-894f-7547-92bc-508c52076d6c', '{{base URL of site-a}}', 'Task/805222fc-3821-4644-892f-6afa8ea346e3', 'dsfdev_ping', '1.0', 'pong', '0093c32e-60ec-4dbe-b34c-2e0f590dcb04', '8e4b0bc0-649a-44bd-a605-e3b1399da652', 'site-b.test', 'application/fhir+json', '{"resourceType":"Task","id":"805222fc-3821-4644-892f-6afa8ea346e3","meta":{"versionId":"1","lastUpdated":"2026-11-26T02:25:58.573+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-pong|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/send-id","value":"01a215ac-8922-7786-b654-24bdad1735f2"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-26T02:25:58.559061Z","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-b.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"pong"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"business-key"}]},"valueString":"0093c32e-60ec-4dbe-b34c-2e0f590dcb04"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"correlation-key"}]},"valueString":"8e4b0bc0-649a-44bd-a605-e3b1399da652"}]}', '2026-11-26 02:25:58.595298+00', '00-a8049c268b19d0c383167974dc3dc52c-1f89aba79c8df85a-01', 'taken', NULL, '01a215ac-88a8-75f5-9420-6925f18d35bc', 'completed', '{}', NULL, 'completed', 3, NULL, '2026-11-26 02:25:58.652879+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a215ac-8a54-77dd-9a98-e4ddb6c947ab', '{{base URL of site-a}}', 'Task/7affd81d-8145-42a4-95e7-e85707bfa551', 'dsfdev_ping', '1.0', 'startPing', '96f8a613-95b2-4551-a17b-10ac17a18b2f', NULL, 'site-a.test', 'application/fhir+json', '{"resourceType":"Task","id":"7affd81d-8145-42a4-95e7-e85707bfa551","meta":{"versionId":"1","lastUpdated":"2026-11-26T02:25:58.853+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/test","value":"14a41d11-c9a8-4dc7-8daa-18dff628c6a0"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-24T12:00:00+00:00","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"startPing"}]}', '2026-11-26 02:25:58.868849+00', '00-67270428e40bd91f49e79e1a21e6107a-8b764557f586a236-01', 'taken', NULL, '01a215ac-8a55-7658-81a5-cdcd1097befe', 'in-progress', '{}', '96f8a613-95b2-4551-a17b-10ac17a18b2f', 'in-progress', 2, NULL, '2026-11-26 02:25:59.377681+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a215ac-8927-7017-8fdb-387d4583d608', '{{base URL of site-a}}', 'Task/d45629f1-d80a-4678-8146-0618fa3a9cf4', 'dsfdev_ping', '1.0', 'pong', 'da0909ea-540e-4c77-8733-f401392d54ac', '45bd9031-62d6-4ef0-9817-45f311c80a87', 'site-b.test', 'application/fhir+json', '{"resourceType":"Task","id":"d45629f1-d80a-4678-8146-0618fa3a9cf4","meta":{"versionId":"1","lastUpdated":"2026-11-26T02:25:58.553+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-pong|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/send-id","value":"01a215ac-890f-719a-829b-334bae07a55d"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-26T02:25:58.541113Z","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-b.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"pong"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"business-key"}]},"valueString":"da0909ea-540e-4c77-8733-f401392d54ac"},{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"correlation-key"}]},"valueString":"45bd9031-62d6-4ef0-9817-45f311c80a87"}]}', '2026-11-26 02:25:58.566971+00', '00-5c7adbb488206057c3ebb7f6ea062960-4c9fdee5732d734d-01', 'taken', NULL, '01a215ac-88b0-7079-89bc-cbf7fa0086c6', 'completed', '{}', NULL, 'completed', 3, NULL, '2026-11-26 02:25:58.656659+00', 0, NULL, NULL, 'task-router-write-back'),
	('01a215ac-88a7-7458-8db1-30d607f81181', '{{base URL of site-a}}', 'Task/9ea6ab87-24db-4936-b4d4-31d094aec014', 'dsfdev_ping', '1.0', 'startPing', '0093c32e-60ec-4dbe-b34c-2e0f590dcb04', NULL, 'site-a.test', 'application/fhir+json', '{"resourceType":"Task","id":"9ea6ab87-24db-4936-b4d4-31d094aec014","meta":{"versionId":"1","lastUpdated":"2026-11-26T02:25:58.398+00:00","profile":["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},"identifier":[{"system":"https://w3id.org/dsf-rust/sid/test","value":"e2ccc864-7384-43dd-9503-3caa515e1c79"}],"instantiatesCanonical":"http://dsf.dev/bpe/Process/ping|1.0","status":"requested","intent":"order","authoredOn":"2026-11-24T12:00:00+00:00","requester":{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}},"restriction":{"recipient":[{"type":"Organization","identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"site-a.test"}}]},"input":[{"type":{"coding":[{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}]},"valueString":"startPing"}]}', '2026-11-26 02:25:58.438295+00', '00-a8049c268b19d0c383167974dc3dc52c-769c6f8d17e38d8c-01', 'taken', NULL, '01a215ac-88a8-75f5-9420-6925f18d35bc', 'completed', '{"{\"extension\":[{\"extension\":[{\"url\":\"correlation-key\",\"valueString\":\"8e4b0bc0-649a-44bd-a605-e3b1399da652\"},{\"url\":\"organization-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/organization-identifier\",\"value\":\"site-b.test\"}},{\"url\":\"endpoint-identifier\",\"valueIdentifier\":{\"system\":\"http://dsf.dev/sid/endpoint-identifier\",\"value\":\"fhir.site-b.test\"}}],\"url\":\"http://dsf.dev/fhir/StructureDefinition/extension-ping-status\"}],\"type\":{\"coding\":[{\"code\":\"ping-status\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping\"}]},\"valueCoding\":{\"code\":\"pong-received\",\"system\":\"http://dsf.dev/fhir/CodeSystem/ping-status\"}}"}', '0093c32e-60ec-4dbe-b34c-2e0f590dcb04', 'completed', 3, NULL, '2026-11-26 02:25:58.678937+00', 0, NULL, NULL, 'task-router-write-back');
INSERT INTO public.schema_version VALUES
	(1, 'engine', 5717875389645574605, '2026-11-26 02:25:57.02272+00'),
	(2, 'operations', 7604709414586731011, '2026-11-26 02:25:57.02272+00'),
	(3, 'start timers', 5682467321423537149, '2026-11-26 02:25:57.02272+00');
INSERT INTO public.timer VALUES
	('01a215ac-8a6b-70e6-97a0-db2f767eaef6', '01a215ac-8a55-7658-81a5-cdcd1097befe', 'time-out', '2026-11-26 02:26:18.89+00');
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
